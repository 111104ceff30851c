"""The program that powers off a rented machine that nobody gives back: its text, and its installation."""
