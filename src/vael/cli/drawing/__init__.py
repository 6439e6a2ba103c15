"""Examples that were not there before: drawn, between others, changed, filled in."""
