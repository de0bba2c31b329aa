"""A desk beside another set-up, on the same questions."""
