"""What came of an experiment."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from steepest.core.spaces import Box, Discrete
from steepest.core.types import PyTree
from steepest.experiments.configuration import RunConfiguration
from steepest.runs.statistics import bootstrap_interval, interquartile_mean


def summarise(config: RunConfiguration, returns: Mapping[int, np.ndarray]) -> dict[str, Any]:
    """The evaluation of a run as one object: each seed's mean and deviation, and what the seeds say together.

    **Arguments**

    - `returns`: for each seed, the undiscounted returns of its episodes.
    """
    means = np.array([returns[seed].mean() for seed in sorted(returns)])
    low, high = bootstrap_interval(means)
    return {
        "algorithm": config.algorithm,
        "env": config.env,
        "backend": config.backend,
        "episodes": len(next(iter(returns.values()))),
        "seeds": [
            {"seed": seed, "mean_return": float(each.mean()), "std_return": float(each.std())}
            for seed, each in sorted(returns.items())
        ],
        "iqm": float(interquartile_mean(means)),
        "iqm_ci95": [float(low), float(high)],
    }


def dump(evaluation: dict[str, Any]) -> str:
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
    algorithm: Any
    agents: dict[int, PyTree]
    metrics: dict[str, np.ndarray]
    evaluation: dict[str, Any] | None
    run_directory: pathlib.Path | None
    finished: bool

    def policy(self, obs: Any, *, seed: int | None = None) -> np.ndarray | np.generic:
        """The action for an observation, or for a batch of them, as the environment takes it.

        **Arguments**

        - `seed`: whose policy; the first one's when left out.
        """
        agent = self.agents[self.config.seeds[0] if seed is None else seed]
        space, action_space = self.algorithm.spec.observation, self.algorithm.spec.action
        batch = np.asarray(obs)
        start = space.start if isinstance(space, Discrete) else 0
        single = batch.ndim == len(space.shape)
        batch = (batch[None] if single else batch) - start
        carry = self.algorithm.initial_carry(dataclasses.replace(self.algorithm.spec, num_envs=len(batch)))
        action = np.asarray(self.algorithm.act_deterministic(agent, carry, batch.astype(space.dtype))[0])
        if isinstance(action_space, Box):
            action = np.clip(action, action_space.low, action_space.high)
        elif isinstance(action_space, Discrete):
            action = action + action_space.start
        return action[0] if single else action
