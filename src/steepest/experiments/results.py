"""What came of an experiment."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping

import numpy as np

from steepest.core.errors import EndsTraining, EnvironmentFault, InputError
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.types import PyTree
from steepest.experiments.configuration import RunConfiguration
from steepest.experiments.trained import TrainedPolicy
from steepest.runs.statistics import bootstrap_interval, interquartile_mean


def summarise(
    config: RunConfiguration, returns: Mapping[int, np.ndarray], cut: Mapping[int, int], limit: int | None
) -> dict:
    """The evaluation of a run as one object: each seed's mean and deviation, and what the seeds say together.

    **Arguments**

    - `returns`: for each seed, the undiscounted returns of its episodes.
    - `cut`: for each seed, how many of them were cut after `limit` steps.
    """
    means = np.array([returns[seed].mean() for seed in sorted(returns)])
    low, high = bootstrap_interval(means)
    return {
        "algorithm": config.algorithm,
        "env": config.env,
        "backend": config.backend,
        "episodes": len(next(iter(returns.values()))),
        "cut_after_steps": limit,
        "seeds": [
            {
                "seed": seed,
                "mean_return": float(each.mean()),
                "std_return": float(each.std()),
                "episodes_cut": cut[seed],
            }
            for seed, each in sorted(returns.items())
        ],
        "iqm": float(interquartile_mean(means)),
        "iqm_ci95": [float(low), float(high)],
    }


def dump(evaluation: dict) -> str:
    """As JSON that people can read too."""
    return json.dumps(evaluation, indent=2)


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What `steepest.train` returns.

    - `metrics`: columns by name, one entry for each update and seed; see `steepest.runs.metrics`.
    - `evaluation`: the object that `steepest evaluate --json` prints; None when it was turned off.
    - `agents`: everything that learning changed, by seed.
    - `run_directory`: None when nothing was written.
    - `finished`: whether every seed made its steps.
    """

    config: RunConfiguration
    algorithm: AbstractAlgorithm
    agents: dict[int, PyTree]
    metrics: dict[str, np.ndarray]
    evaluation: dict | None
    run_directory: pathlib.Path | None
    finished: bool

    @functools.cached_property
    def policy(self) -> TrainedPolicy:
        """The policy of the first seed: `result.policy(obs)` is an action as the environment takes it."""
        return self.policy_of(self.config.seeds[0])

    def policy_of(self, seed: int) -> TrainedPolicy:
        """The policy of a seed. **Raises** `InputError` for one that was not trained."""
        if seed not in self.agents:
            raise InputError(
                f"seed {seed} is not among those that were trained, {list(self.agents)}. Give one of them."
            )
        return TrainedPolicy(self.algorithm, self.agents[seed], self.config, seed=seed)


def with_result(fault: EndsTraining, result: TrainResult) -> EndsTraining:
    """What ended a training, with what there is so far; of an environment, with the words how to go on."""
    fault.result = result
    if isinstance(fault, EnvironmentFault):
        run = result.run_directory
        kept = (
            "What was learnt before that is the result of this exception."
            if run is None
            else f"What was learnt before that is saved; {run}/traceback.txt says more. Go on: steepest resume {run}"
        )
        fault.args = (f"{fault} {kept}",)
    return fault
