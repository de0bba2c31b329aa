"""How people reach the desk: the terminal, the chat, and report pages."""
