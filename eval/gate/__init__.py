"""May a challenger take the seat: the criteria, the verdict, and its signed record."""
