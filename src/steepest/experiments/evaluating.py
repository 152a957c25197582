"""Evaluating policies: of agents while they train, and of the last checkpoints of a run."""

import functools
import pathlib
from collections.abc import Callable

import jax
import numpy as np

from steepest._platform import configure_platform
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.types import PyTree
from steepest.core.validation import check_number, converted
from steepest.envs.tasks import EnvironmentLike, Task
from steepest.experiments.building import load_agents, task_of
from steepest.experiments.configuration import check_episodes, read_configuration
from steepest.experiments.own import AlgorithmLike, own_parameters
from steepest.experiments.progress import ProgressDisplay
from steepest.experiments.results import summarise
from steepest.replay import check_memory
from steepest.runs.directory import RunDirectory
from steepest.training.driver import no_action_allowed
from steepest.training.evaluation import Played, evaluate_compiled, evaluate_host

UNENDING = 1000
"""Steps after which an episode is cut that has no time limit: a policy may well stay somewhere for ever."""
_EVALUATION_ENVS = 16
_EVALUATION_KEY = 2**31 - 1
"""Folded into a seed's key, where updates are folded in otherwise: no run makes so many."""


def evaluate(
    run: str | pathlib.Path,
    *,
    episodes: int = 100,
    stochastic: bool = False,
    evaluation_steps: int | None = None,
    algorithm: AlgorithmLike | None = None,
    env: EnvironmentLike | None = None,
    progress: bool = False,
) -> dict:
    """Play whole episodes with the newest checkpoint of every seed of a run.

    **Arguments**

    - `run`: a run directory.
    - `episodes`: for each seed.
    - `stochastic`: draw actions as in training, instead of taking the mode.
    - `evaluation_steps`: where an episode is cut. When left out, where the run says, else at the time limit, and after
      1,000 steps where there is none.
    - `algorithm`, `env`: as they were given to `steepest.train`, where the algorithm is your own, or the environment
      is none that an id names.
    - `progress`: show how it goes.

    **Returns** each seed's mean and deviation and the number of its episodes that were cut, and the interquartile mean
    over seeds with its interval; it is what `steepest evaluate --json` prints.

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
    steps = config.evaluation_steps if evaluation_steps is None else evaluation_steps
    steps = converted("evaluation_steps", steps, int | None, "1000, say.")
    check_number("evaluation_steps", steps, at_least=1, at_most=2**31 - 1, whole=True, remedy="1000, say.")
    played = {}
    with ProgressDisplay(config, show=progress, trained=True) as display:
        for seed, agent in agents.items():
            tell = functools.partial(display.evaluating, seed, episodes)
            found = evaluate_agent(
                built, task, agent, seed, episodes=episodes, stochastic=stochastic, steps=steps, heard=tell
            )
            assert found is not None  # nobody stops it
            played[seed] = found
    returns = {seed: each.returns for seed, each in played.items()}
    cut = {seed: int(each.truncated.sum()) for seed, each in played.items()}
    return summarise(config, returns, cut, cut_at(task, steps))


def cut_at(task: Task, given: int | None) -> int | None:
    """Where an episode of an evaluation is cut; None where it plays up to the time limit of the environment.

    **Arguments**

    - `given`: what was asked for; None for `UNENDING` steps where there is no time limit.
    """
    own = task.max_episode_steps
    limit = given or UNENDING
    return limit if own is None or (given is not None and given < own) else None


def evaluate_agent(
    algorithm: AbstractAlgorithm,
    task: Task,
    agent: PyTree,
    seed: int,
    *,
    episodes: int,
    stochastic: bool = False,
    steps: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    heard: Callable[[int, int], None] = lambda ended, cut: None,
) -> Played | None:
    """Play `episodes` episodes in environments that training has not seen; those count as truncated that were cut.

    None where `stop`, which is asked between steps of environments on the host, said yes.

    **Arguments**

    - `steps`: where an episode is cut; see `cut_at`.
    - `heard`: called when some have ended: how many so far, and how many of those were cut.
    """
    limit = cut_at(task, steps)
    heard(0, 0)
    task, heard_of = (task, lambda ended, _: heard(ended, 0)) if limit is None else (task.limited(limit), heard)
    key = jax.random.fold_in(jax.random.key(seed), _EVALUATION_KEY)
    if task.env is not None:
        found = evaluate_compiled(algorithm, task.env, agent, key, episodes=episodes, stochastic=stochastic)
        played: Played | None = jax.device_get(found)
        if found.stuck is not None and (stuck := np.flatnonzero(found.stuck)).size:
            raise no_action_allowed(task.id, int(stuck[0]), f"in an evaluation of seed {seed}")
    else:
        assert task.make is not None
        env = task.make(min(episodes, _EVALUATION_ENVS), (seed + 1) * 7919)
        try:
            played = evaluate_host(
                algorithm, env, agent, key, episodes=episodes, stochastic=stochastic, stop=stop, heard=heard_of
            )
        finally:
            env.close()
    if played is None:
        return None
    played = played if limit is not None else Played(played.returns, np.zeros(episodes, bool))
    heard(episodes, int(played.truncated.sum()))
    return played
