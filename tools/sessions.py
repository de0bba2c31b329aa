"""The exchange calendar: sessions, early closes, and where a horizon ends."""
