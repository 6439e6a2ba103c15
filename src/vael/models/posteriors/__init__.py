"""Posteriors q(z | x): encoders."""
