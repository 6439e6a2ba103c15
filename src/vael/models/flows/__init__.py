"""Invertible maps of vectors that are learned, and what is made of them."""
