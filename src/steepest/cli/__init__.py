"""The command line. `--help` and wrong arguments are answered without importing JAX."""

from steepest.cli.main import main

__all__ = ["main"]
