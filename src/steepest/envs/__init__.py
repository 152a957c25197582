"""Environments. The compiled ones are listed here by name, so that asking which there are does not start JAX."""

import importlib
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    import steepest.envs.environment

COMPILED: dict[str, str] = {
    "Acrobot-v1": "steepest.envs.acrobot:Acrobot",
    "CartPole-v1": "steepest.envs.cart_pole:CartPole",
    "Catch-v0": "steepest.envs.catch:Catch",
    "MaskedCartPole-v0": "steepest.envs.masked_cart_pole:MaskedCartPole",
    "MountainCar-v0": "steepest.envs.mountain_car:MountainCar",
    "MountainCarContinuous-v0": "steepest.envs.mountain_car_continuous:MountainCarContinuous",
    "Pendulum-v1": "steepest.envs.pendulum:Pendulum",
    "TMaze-v0": "steepest.envs.t_maze:TMaze",
}
"""Where each compiled environment lives: its id, then "module:Class"."""


def compiled(id: str) -> Optional["steepest.envs.environment.AbstractEnvironment"]:  # noqa: A002
    """The compiled environment called `id`, with its usual constants, or `None` when there is none."""
    if id not in COMPILED:
        return None
    module, name = COMPILED[id].split(":")
    return getattr(importlib.import_module(module), name)()
