"""What tokens cost here, and what they would cost elsewhere."""
