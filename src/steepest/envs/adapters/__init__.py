"""Adapters of other libraries' environments, each imported only where it is used."""
