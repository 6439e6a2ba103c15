"""Likelihoods p(x | z): what reads a network's output as a distribution of x."""
