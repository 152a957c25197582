"""steepest: policy gradients in JAX, composed of short parts that are checked against exact answers.

What is named here is loaded when it is first used, so that importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steepest._platform import configure_platform
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
    from steepest.diagnostics.comparison import compare_gradients, estimate_gradient
    from steepest.envs.environment import AbstractEnvironment
    from steepest.experiments.recording import demonstrate
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
    "configure_platform": "steepest._platform",
    "AbstractEnvironment": "steepest.envs.environment",
    "Demonstrations": "steepest.core.demonstrations",
    "demonstrate": "steepest.experiments.recording",
    "compare_gradients": "steepest.diagnostics.comparison",
    "estimate_gradient": "steepest.diagnostics.comparison",
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
    "configure_platform",
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
