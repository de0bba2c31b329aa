"""Options: European, American and barrier: price, greeks, implied volatility."""
