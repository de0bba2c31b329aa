"""What a server does wrong for the desk, and how to mend it."""
