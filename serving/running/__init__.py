"""How the servers of a stack run: started, kept, looked at, scaled, and stopped."""
