"""Examples to learn from: where they come from, and what keeps them clean."""
