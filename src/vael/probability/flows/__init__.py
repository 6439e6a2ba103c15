"""Densities by change of variables, and number by number."""
