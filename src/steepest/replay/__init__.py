"""Experience replay: a ring buffer of transitions."""

from steepest.replay.memory import available_memory, check_memory
from steepest.replay.ring import Replayed, Ring

__all__ = ["Replayed", "Ring", "available_memory", "check_memory"]
