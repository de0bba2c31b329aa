"""Was a VaR right: Kupiec, Christoffersen, Basel traffic light."""
