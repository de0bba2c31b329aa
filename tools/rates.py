"""Bonds and curves: price, yield, accrued, duration, convexity, and a bootstrapped zero curve."""
