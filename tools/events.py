"""Event study: abnormal returns around a day, with their tests."""
