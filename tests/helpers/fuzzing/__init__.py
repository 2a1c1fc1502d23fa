"""Generated input of every kind that the package reads; ``fuzz.py`` is the command."""
