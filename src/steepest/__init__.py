"""steepest: policy gradients in JAX, composed of short parts that are checked against exact answers.

What can be named here: the functions that do a whole thing (`train`, `evaluate`, …), what is handed to them or
subclassed for them (spaces, `Spec`, `AbstractEnvironment`, …), every algorithm, every estimator of the gradient, and
every step rule. All other parts are in the package of their kind: `steepest.advantages`, `steepest.objectives`, ….

A name is loaded when it is first used, so that importing the package costs nothing and changes nothing.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steepest._platform import configure_platform as configure_platform
    from steepest.algorithms import *  # noqa: F403
    from steepest.algorithms.architecture import Networks as Networks
    from steepest.core.demonstrations import Demonstrations as Demonstrations
    from steepest.core.spaces import Box as Box
    from steepest.core.spaces import Discrete as Discrete
    from steepest.core.spaces import MultiBinary as MultiBinary
    from steepest.core.spaces import MultiDiscrete as MultiDiscrete
    from steepest.core.spaces import Spec as Spec
    from steepest.diagnostics.comparison import compare_gradients as compare_gradients
    from steepest.diagnostics.comparison import estimate_gradient as estimate_gradient
    from steepest.envs.environment import AbstractEnvironment as AbstractEnvironment
    from steepest.estimators import *  # noqa: F403
    from steepest.experiments.evaluating import evaluate as evaluate
    from steepest.experiments.plotting import plot as plot
    from steepest.experiments.recording import demonstrate as demonstrate
    from steepest.experiments.train import resume as resume
    from steepest.experiments.train import train as train
    from steepest.experiments.trained import load as load
    from steepest.policies import AbstractPolicy as AbstractPolicy
    from steepest.reports.comparing import compare as compare
    from steepest.runs.listeners import AbstractListener as AbstractListener
    from steepest.steps import *  # noqa: F403
    from steepest.studies.sweeping import sweep as sweep
    from steepest.studies.tuning import tune as tune
    from steepest.video.filming import record as record
    from steepest.video.watching import watch as watch

__version__ = "0.1.0"

_WHOLE = {
    "train": "steepest.experiments.train",
    "resume": "steepest.experiments.train",
    "load": "steepest.experiments.trained",
    "evaluate": "steepest.experiments.evaluating",
    "plot": "steepest.experiments.plotting",
    "demonstrate": "steepest.experiments.recording",
    "sweep": "steepest.studies.sweeping",
    "record": "steepest.video.filming",
    "watch": "steepest.video.watching",
    "compare": "steepest.reports.comparing",
    "tune": "steepest.studies.tuning",
    "estimate_gradient": "steepest.diagnostics.comparison",
    "compare_gradients": "steepest.diagnostics.comparison",
    "configure_platform": "steepest._platform",
}
_GIVEN = {
    "Spec": "steepest.core.spaces",
    "Box": "steepest.core.spaces",
    "Discrete": "steepest.core.spaces",
    "MultiBinary": "steepest.core.spaces",
    "MultiDiscrete": "steepest.core.spaces",
    "Demonstrations": "steepest.core.demonstrations",
    "AbstractEnvironment": "steepest.envs.environment",
    "AbstractListener": "steepest.runs.listeners",
    "AbstractPolicy": "steepest.policies",
    "Networks": "steepest.algorithms.architecture",
}
_ALGORITHMS = (
    "A2C", "A3C", "BatchActorCritic", "BehaviourCloning", "DDPG", "DPG", "DualDescent", "FiniteDifferenceAscent",
    "FittedPolicyIteration", "HyperParameters", "ImportanceSampledPG", "NPG", "OffPAC", "OffPolicyActorCritic",
    "OnlineActorCritic", "PGBaseline", "PPO", "PPOPenalty", "RegressionAscent", "Reinforce", "RestrictedGradient",
    "TRPO",
)  # fmt: skip
_ESTIMATORS = (
    "DeterministicGradient", "FittedCritic", "FreshAction", "ImportanceSampled", "LikelihoodRatio", "OffPolicy",
    "Perturbed", "VarianceOptimal",
)  # fmt: skip
_STEP_RULES = (
    "Ascent", "Greedy", "KLPenalty", "Lagrangian", "MinibatchAscent", "Natural", "Optimiser", "RepeatedAscent",
    "Restricted", "TrustRegion",
)  # fmt: skip
_WHERE = (
    _WHOLE
    | _GIVEN
    | dict.fromkeys(_ALGORITHMS, "steepest.algorithms")
    | dict.fromkeys(_ESTIMATORS, "steepest.estimators")
    | dict.fromkeys(_STEP_RULES, "steepest.steps")
)

__all__ = sorted(_WHERE)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'steepest' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
