"""Probes of a model on the person's own endpoint, and the card that holds what they found."""
