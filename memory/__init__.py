"""What the desk remembers: memories, the LanceDB store, embeddings, and recall bounded by the clock."""
