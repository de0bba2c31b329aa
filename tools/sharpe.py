"""What a Sharpe ratio is worth: standard error, probabilistic and deflated Sharpe."""
