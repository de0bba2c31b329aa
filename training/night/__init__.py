"""The night: prepare, tune, validate, deploy, each at most once an exchange day."""
