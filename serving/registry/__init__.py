"""What was trained: kept by its digest, moved by the gate, never changed."""
