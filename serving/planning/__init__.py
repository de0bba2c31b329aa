"""What a stack takes of a box, before anything is started."""
