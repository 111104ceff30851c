"""Doubles of clouds, so that their providers can be tried and tested without an account: one package for each vendor."""
