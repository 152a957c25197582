"""Experience replay: a ring buffer of transitions."""

from steepest.replay.buffer import ReplayBuffer, Transitions
from steepest.replay.memory import available_memory, check_memory

__all__ = ["ReplayBuffer", "Transitions", "available_memory", "check_memory"]
