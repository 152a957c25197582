"""The command line. `--help` and wrong arguments are answered without importing JAX."""

import os

if os.environ.get("NO_COLOR"):
    os.environ.setdefault("PYTHON_TYRO_ANSI_CODES", "False")  # tyro knows no other word, and reads it when imported

from steepest.cli.main import main

__all__ = ["main"]
