"""Helpers that all parts share; none of them is public."""
