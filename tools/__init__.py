"""Data and numbers: the warehouse, its clocked views, and plain functions that return Evidence."""
