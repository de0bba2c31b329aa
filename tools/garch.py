"""GARCH volatility, and simulation from it."""
