"""The program that powers a rented machine off when nobody gives it back: its text, and how it is installed."""
