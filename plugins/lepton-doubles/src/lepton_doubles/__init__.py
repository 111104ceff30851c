"""Doubles of clouds, to try and test their providers without an account: one package for each vendor."""
