"""How well a series did for its risk: return, volatility, Sharpe, Sortino, Calmar, Omega, and against a benchmark."""
