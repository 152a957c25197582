"""A whole experiment: environments, seeds, processes, and the run directory that keeps it."""
