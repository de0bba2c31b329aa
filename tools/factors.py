"""Beta and factor exposure with robust errors."""
