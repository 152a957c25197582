"""Other libraries' environments, each imported only where it is asked for."""
