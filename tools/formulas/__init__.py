"""Formulas on plain numbers and arrays: no data, no evidence ids; the tools beside put them to work."""
