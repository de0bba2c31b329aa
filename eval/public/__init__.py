"""Public test sets as suites: read from a folder of a person's own, a small file a set; nothing of them is shipped."""

from openoutcry.eval.public.sets import PublicSet, load, read, sets

__all__ = ["PublicSet", "load", "read", "sets"]
