"""Short compositions of the parts. Importing this does not import JAX."""

from steepest.algorithms.a2c import A2C
from steepest.algorithms.hyper_parameters import HyperParameters
from steepest.algorithms.ppo import PPO
from steepest.algorithms.reinforce import Reinforce

ALGORITHMS: dict[str, type[HyperParameters]] = {each.name: each for each in (PPO, A2C, Reinforce)}

__all__ = ["A2C", "ALGORITHMS", "PPO", "HyperParameters", "Reinforce"]
