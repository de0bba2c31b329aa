"""Made-up companies whose figures are known by construction."""
