"""Runs for other people and programs: over HTTP, on a hub."""
