"""The arithmetic of the gate on plain arrays: paired, clustered, one-sided."""
