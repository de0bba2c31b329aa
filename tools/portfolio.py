"""Portfolio weights: minimum variance, mean-variance, CVaR, risk parity, HRP; walk-forward; Kelly."""
