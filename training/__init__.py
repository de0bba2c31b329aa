"""How the desk's own small models are made; nothing here runs when the desk answers."""
