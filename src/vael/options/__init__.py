"""Options: how they are declared and read, and those that command line and Python share; nothing slow is imported."""
