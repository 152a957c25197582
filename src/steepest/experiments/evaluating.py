"""Evaluating policies: of agents while they train, and of the last checkpoints of a run."""

import pathlib
from collections.abc import Callable

import jax
import numpy as np

from steepest._platform import configure_platform
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.types import PyTree
from steepest.envs.tasks import EnvironmentLike, Task
from steepest.experiments.building import load_agents, task_of
from steepest.experiments.configuration import check_episodes, read_configuration
from steepest.experiments.own import AlgorithmLike, own_parameters
from steepest.experiments.results import summarise
from steepest.replay import check_memory
from steepest.runs.directory import RunDirectory
from steepest.training.evaluation import evaluate_compiled, evaluate_host

_EVALUATION_ENVS = 16
_EVALUATION_KEY = 2**31 - 1
"""Folded into a seed's key, where updates are folded in otherwise: no run makes so many."""


def evaluate(
    run: str | pathlib.Path,
    *,
    episodes: int = 100,
    stochastic: bool = False,
    algorithm: AlgorithmLike | None = None,
    env: EnvironmentLike | None = None,
) -> dict:
    """Play whole episodes with the newest checkpoint of every seed of a run.

    **Arguments**

    - `run`: a run directory.
    - `episodes`: for each seed.
    - `stochastic`: draw actions as in training, instead of taking the mode.
    - `algorithm`, `env`: as they were given to `steepest.train`, where the algorithm is your own, or the environment
      is none that an id names.

    **Returns** each seed's mean and deviation, and the interquartile mean over seeds with its interval; it is what
    `steepest evaluate --json` prints.

    **Raises** `InputError` when it is not a run, a seed has no checkpoint, or a checkpoint is damaged.
    """
    episodes = check_episodes("episodes", episodes)
    configure_platform()
    directory = RunDirectory.existing(run)
    config = read_configuration(directory)
    task = task_of(config, env)
    parameters = own_parameters(config, algorithm, task)
    built, agents = load_agents(config, task, directory, parameters)
    if task.env is not None:  # all of them are played side by side
        check_memory(built.spec, episodes, field="episodes")
    returns = {}
    for seed, agent in agents.items():
        found = evaluate_agent(built, task, agent, seed, episodes=episodes, stochastic=stochastic)
        assert found is not None  # nobody stops it
        returns[seed] = found
    return summarise(config, returns)


def evaluate_agent(
    algorithm: AbstractAlgorithm,
    task: Task,
    agent: PyTree,
    seed: int,
    *,
    episodes: int,
    stochastic: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> np.ndarray | None:
    """The undiscounted returns of `episodes` episodes, in environments that training has not seen.

    None where `stop`, which is asked between steps of environments on the host, said yes.
    """
    key = jax.random.fold_in(jax.random.key(seed), _EVALUATION_KEY)
    if task.env is not None:
        returns = evaluate_compiled(algorithm, task.env, agent, key, episodes=episodes, stochastic=stochastic)
        return np.asarray(returns)
    assert task.make is not None
    env = task.make(min(episodes, _EVALUATION_ENVS), (seed + 1) * 7919)
    try:
        return evaluate_host(algorithm, env, agent, key, episodes=episodes, stochastic=stochastic, stop=stop)
    finally:
        env.close()
