"""Sampling and learning in turn: compiled, or on the host."""
