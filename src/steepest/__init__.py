"""steepest: policy gradients in JAX, composed of short parts that are checked against exact answers.

What is named here is loaded when it is first used, so that importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steepest.algorithms import (
        A2C,
        A3C,
        NPG,
        PPO,
        TRPO,
        BatchActorCritic,
        BehaviourCloning,
        DualDescent,
        OnlineActorCritic,
        PGBaseline,
        PPOPenalty,
        Reinforce,
        RestrictedGradient,
    )
    from steepest.core.demonstrations import Demonstrations
    from steepest.envs.environment import AbstractEnvironment
    from steepest.experiments.demonstrations import demonstrate
    from steepest.experiments.gradients import compare_gradients, estimate_gradient
    from steepest.experiments.train import train

__version__ = "0.1.0"

_ALGORITHMS = (
    "A2C",
    "A3C",
    "BatchActorCritic",
    "BehaviourCloning",
    "DualDescent",
    "NPG",
    "OnlineActorCritic",
    "PGBaseline",
    "PPO",
    "PPOPenalty",
    "Reinforce",
    "RestrictedGradient",
    "TRPO",
)
_WHERE = dict.fromkeys(_ALGORITHMS, "steepest.algorithms") | {
    "AbstractEnvironment": "steepest.envs.environment",
    "Demonstrations": "steepest.core.demonstrations",
    "demonstrate": "steepest.experiments.demonstrations",
    "compare_gradients": "steepest.experiments.gradients",
    "estimate_gradient": "steepest.experiments.gradients",
    "train": "steepest.experiments.train",
}

__all__ = [
    "A2C",
    "A3C",
    "NPG",
    "PPO",
    "TRPO",
    "AbstractEnvironment",
    "BatchActorCritic",
    "BehaviourCloning",
    "Demonstrations",
    "DualDescent",
    "OnlineActorCritic",
    "PGBaseline",
    "PPOPenalty",
    "Reinforce",
    "RestrictedGradient",
    "compare_gradients",
    "demonstrate",
    "estimate_gradient",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'steepest' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
