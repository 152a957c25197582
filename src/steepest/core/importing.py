"""Importing a module that is named by a string."""

import importlib
import os
import sys
from types import ModuleType


def import_named(module: str) -> ModuleType:
    """Import a module, from the working directory too: scripts that an installation makes do not look there."""
    here = os.getcwd()
    missing = here not in sys.path
    if missing:
        sys.path.append(here)  # last, so that nothing there stands in for anything else
    try:
        return importlib.import_module(module)
    finally:
        if missing:
            sys.path.remove(here)
