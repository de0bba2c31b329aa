"""Where data lives and how a run may see it: the warehouse, its clocked views, files, and the SQL sandbox."""
