"""Which local model answers for which role: the stack, its servers, and how they are asked."""
