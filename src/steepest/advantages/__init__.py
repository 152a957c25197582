"""What a trajectory says about how good its actions were."""

from steepest.advantages.gae import GAE, gae
from steepest.advantages.monte_carlo import MonteCarlo, reward_to_go
from steepest.advantages.n_step import NStep, n_step_return
from steepest.advantages.normalise import normalise

__all__ = ["GAE", "MonteCarlo", "NStep", "gae", "n_step_return", "normalise", "reward_to_go"]
