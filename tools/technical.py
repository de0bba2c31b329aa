"""Technical indicators: moving averages, RSI, MACD, ATR, Bollinger bands."""
