"""Policies at play, as pictures: what draws them, and what writes them into a file."""
