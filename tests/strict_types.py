"""The type checker that the tests put into every function of steepest."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""With the numeric tower of PEP 484: an int is a float too."""
