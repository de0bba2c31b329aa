"""The embedded default: a deterministic model without weights, one file of rules a role."""
