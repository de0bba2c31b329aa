"""The words every part speaks: questions, clocks, evidence, claims, findings, reports, errors, settings."""
