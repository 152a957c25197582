"""Demonstrations from wherever they are: a run, a file, a Minari data set, or arrays."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from steepest.core.conversion import as_given, to_environment
from steepest.core.demonstrations import Demonstrations
from steepest.core.errors import InputError
from steepest.core.spaces import Box, Leaf, Space, with_leaves, without_mask
from steepest.core.types import PyTree
from steepest.core.validation import shown, whole_number
from steepest.diagnostics.setting import open_task, time_limit
from steepest.envs.adapters import minari
from steepest.envs.tasks import EnvironmentLike, Task
from steepest.experiments.configuration import check_episodes, read_configuration
from steepest.experiments.own import AlgorithmLike
from steepest.experiments.trained import TrainedPolicy, WithoutNoise, load
from steepest.runs import demonstration_files as files
from steepest.runs.directory import RunDirectory
from steepest.sampling.host import on_host

DemonstrationsLike = str | pathlib.Path | Demonstrations | Sequence
"""A run directory, a file, `minari:` and the id of a data set, `Demonstrations`, or arrays (obs, action)."""
MINARI = "minari:"
"""What the name of a Minari data set begins with."""
_SLOTS = 16
"""Environments side by side, on the host."""


@dataclasses.dataclass(frozen=True)
class Gathered:
    """Demonstrations that fit a task, and where they come from, in words."""

    demonstrations: Demonstrations
    origin: str

    def describe(self) -> dict:
        """What a run's configuration says of them. The digest is that of the file in the run directory."""
        found = self.demonstrations
        return {
            "origin": self.origin,
            "transitions": len(found),
            "episodes": found.episodes,
            "sha256": files.digest(files.encode(found)),
        }


def gather(source: object, task: Task, *, episodes: int, stochastic: bool) -> Gathered:
    """Find or record demonstrations for a task.

    **Arguments**

    - `source`: `Demonstrations`; observations and actions as a pair of arrays; or in words a run directory, a file
      that ends in .npz or .safetensors, or `minari:` and the id of a data set.
    - `episodes`, `stochastic`: of a run: how many its policy plays in the environment of the task, and whether it
      draws its actions.

    **Raises** `InputError` when there is nothing of the kind, or it does not fit the task.
    """
    found, origin = _find(source, task, episodes, stochastic)
    return Gathered(found.checked(task.id, task.observation_space, task.action_space), origin)


def _find(source: object, task: Task, episodes: int, stochastic: bool) -> tuple[Demonstrations, str]:
    if isinstance(source, Demonstrations):
        return source, "arrays"
    if isinstance(source, tuple | list) and len(source) in (2, 3):
        return Demonstrations(*source), "arrays"
    if not isinstance(source, str | pathlib.Path):
        raise InputError(
            f"demonstrations is a {type(source).__name__}; it must be a run directory, a file, minari:ID, "
            f"steepest.Demonstrations, or a pair of arrays (obs, action)."
        )
    if str(source).startswith(MINARI):
        name = str(source).removeprefix(MINARI)
        found, observation, action = minari.load(name)
        _check_spaces(f"Minari data set {name}", observation, action, task)
        return found, f"Minari data set {name}"
    path = pathlib.Path(source)
    if path.is_dir():
        expert = _expert(path, task)
        _check_spaces(f"run {path}", expert.task.observation_space, expert.task.action_space, task)
        recorded, returns = demonstrations_of(expert, task, episodes=episodes, stochastic=stochastic)
        how = "actions drawn" if stochastic else "without noise"
        return recorded, f"{path}, seed {expert.seed}, {how}, mean return {returns.mean():.1f}"
    if not path.exists() and path.suffix not in files.SUFFIXES:
        raise InputError(
            f"demonstrations {path}: there is no such run directory or file. Give one, or minari: and the id of a "
            f"Minari data set."
        )
    return files.load(path), str(path)


def _expert(path: pathlib.Path, task: Task) -> TrainedPolicy:
    """The policy of a run; where no id names its environment, that is the one that is learnt in here."""
    try:
        return load(path)
    except InputError:
        if read_configuration(RunDirectory.existing(path)).importable:
            raise
        return load(path, env=task.source)


def demonstrate(
    run: str | pathlib.Path,
    *,
    out: str | pathlib.Path | None = None,
    episodes: int = 20,
    stochastic: bool = False,
    seed: int | None = None,
    episode_seed: int = 0,
    max_episode_steps: int | None = None,
    algorithm: AlgorithmLike | None = None,
    env: EnvironmentLike | None = None,
) -> Demonstrations:
    """Let the policy of a run play whole episodes in its environment, and write down what it did.

    **Arguments**

    - `run`: a run directory.
    - `out`: a file to write it to, too: .safetensors or .npz.
    - `episodes`: how many.
    - `stochastic`: draw actions as in training, instead of taking the best guess.
    - `seed`: which of the run's seeds; the first when left out.
    - `episode_seed`: of the episodes; another one brings other episodes.
    - `max_episode_steps`: a time limit, where the environment's own is not shorter.
    - `algorithm`, `env`: as they were given to `steepest.train`, where the algorithm is your own, or the environment
      is none that an id names.

    **Returns** the transitions, their actions within the bounds of the environment.

    **Raises** `InputError` when it is no run, or has no checkpoint; `StorageFault` where the file cannot be written.
    """
    check_file(out)
    check_episodes("episodes", episodes)
    expert = load(run, seed, env, algorithm)
    recorded, _ = demonstrations_of(
        expert,
        expert.task,
        episodes=episodes,
        stochastic=stochastic,
        episode_seed=episode_seed,
        max_episode_steps=max_episode_steps,
        out=out,
    )
    return recorded


def check_file(out: object) -> None:
    """**Raises** `InputError` for the name of a file that holds no demonstrations."""
    if out is not None and pathlib.Path(str(out)).suffix not in files.SUFFIXES:
        raise InputError(f"out is {shown(str(out))}; give a file that ends in {' or '.join(files.SUFFIXES)}.")


def demonstrations_of(
    expert: TrainedPolicy,
    task: Task,
    *,
    episodes: int,
    stochastic: bool,
    episode_seed: int = 0,
    max_episode_steps: int | None = None,
    out: str | pathlib.Path | None = None,
) -> tuple[Demonstrations, Float[np.ndarray, " episodes"]]:
    """What a policy does in a task, written to `out` if that is given; and the undiscounted return of each episode."""
    episodes = check_episodes("episodes", episodes)
    episode_seed = whole_number("episode_seed", episode_seed, at_least=0, at_most=2**31 - 1, remedy="0, say.")
    key, limit = jax.random.key(episode_seed), time_limit(task, max_episode_steps)
    rollouts = open_task(task, key, limit=limit, slots=min(_SLOTS, episodes))
    policy: Any = expert.module if stochastic else WithoutNoise(expert.module)  # rollouts ask for samples only
    try:
        played = jax.tree.map(np.asarray, rollouts.play(key, policy, episodes))
    finally:
        rollouts.close()
    # Episode after episode, each in order.
    valid = played.valid.swapaxes(0, 1)
    taken = on_host(_taken(policy, played.obs, played.action))
    obs, action = jax.tree.map(lambda each: each.swapaxes(0, 1)[valid], (played.obs, taken))
    recorded = Demonstrations(
        as_given(task.observation_space, obs),
        to_environment(task.action_space, action),
        np.repeat(np.arange(len(valid), dtype=np.int32), valid.sum(axis=1)),
    )
    if out is not None:
        files.save(pathlib.Path(out), recorded)
    return recorded, np.where(played.valid, played.reward, 0).sum(axis=0)


@jax.jit
def _taken(policy: Any, obs: PyTree, action: PyTree) -> PyTree:
    return policy(obs).squash(action)


def _without_bounds(leaf: Leaf) -> Leaf:
    return Box(-np.inf, np.inf, leaf.shape) if isinstance(leaf, Box) else leaf


def _check_spaces(whose: str, observation: Space, action: Space, task: Task) -> None:
    """**Raises** `InputError` where demonstrations are of another environment than the task's."""
    # Nothing depends on the bounds of observations. Those of actions say what a number means.
    given, asked = (with_leaves(_without_bounds, space) for space in (observation, task.observation_space))
    for role, same, found, wanted in (
        ("observation", asked in (given, without_mask(given)), observation, task.observation_space),
        ("action", action == task.action_space, action, task.action_space),
    ):
        if not same:
            raise InputError(
                f"demonstrations: the {role} space of {whose} is {found}, and that of {task.id} is "
                f"{wanted}. Give demonstrations of this environment."
            )
