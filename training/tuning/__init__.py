"""Fine-tuning: planned, resumable, on the libraries that do it best."""
