"""Environments that are seen while they are played: one episode at a time, with a picture of every state."""

from __future__ import annotations

import abc
import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from steepest.core.errors import EnvironmentFault, InputError
from steepest.core.spaces import Masked, Space
from steepest.core.types import PyTree
from steepest.diagnostics.setting import same_kind
from steepest.envs.adapters.vector import AbstractVectorEnvironment
from steepest.envs.environment import AbstractEnvironment
from steepest.envs.tasks import Bounds, Task, resolve
from steepest.sampling.compiled import advance, begin, clip_to
from steepest.sampling.host import on_host

Picture = UInt8[np.ndarray, "height width 3"]


class Seen(NamedTuple):
    """The result of a step: the next observation, with a leading axis of one, and how the step went."""

    obs: PyTree
    reward: float
    terminated: bool
    truncated: bool


class AbstractStage(abc.ABC):
    """An environment that is played step by step, and seen. Observations and actions are as networks have them.

    - `render_fps`: steps that are shown in a second.
    """

    render_fps: float

    @abc.abstractmethod
    def begin_again(self) -> None:
        """Let the same episodes come once more."""

    @abc.abstractmethod
    def reset(self) -> PyTree:
        """Begin the next episode."""

    @abc.abstractmethod
    def step(self, action: PyTree) -> Seen:
        """Take an action. After an episode has ended the environment stays where it is until `reset`."""

    @abc.abstractmethod
    def picture(self) -> Picture:
        """What it looks like now."""

    def close(self) -> None:  # noqa: B027  most hold nothing
        """Give back what is held."""


class CompiledStage(AbstractStage):
    """A compiled environment, which draws itself."""

    def __init__(self, env: AbstractEnvironment, seed: int):
        self._env, self._seed, self.render_fps = env, seed, float(env.render_fps)
        self._begin = jax.jit(lambda key: begin(env, key, 1))
        self._advance = jax.jit(functools.partial(advance, env))
        self._episode = 0
        self.reset()
        self.picture()  # an environment without one is refused before anything is played
        self.begin_again()

    def begin_again(self) -> None:
        self._episode = 0

    def reset(self) -> PyTree:
        self._key = jax.random.fold_in(jax.random.key(self._seed), self._episode)
        self._episode, self._time, self._action = self._episode + 1, 1, None
        self._places = self._begin(self._key)
        return on_host(self._places.obs)

    def step(self, action: PyTree) -> Seen:
        taken = on_host(clip_to(self._env.action_space, jax.tree.map(jnp.asarray, action)))
        key = jax.random.fold_in(self._key, self._time)
        self._places, outcome = self._advance(key, self._places, taken)
        self._time, self._action = self._time + 1, _first(taken)
        return Seen(
            on_host(self._places.obs),
            float(outcome.reward[0]),
            bool(outcome.terminated[0]),
            bool(outcome.truncated[0]),
        )

    def picture(self) -> Picture:
        state = _first(self._places.state)
        found = self._env.draw(state, self._action)
        if found is None:
            raise InputError(
                f"environment {self._env.id} has no pictures. Give its class a method draw(state, action) that returns "
                f"bytes [height, width, 3]."
            )
        return _checked(self._env.id, found)


class HostStage(AbstractStage):
    """One of Gymnasium's environments, seen through its `render`."""

    def __init__(self, env: AbstractVectorEnvironment, seed: int):
        from steepest.envs.adapters.separate import SeparateEnvironments

        assert isinstance(env, SeparateEnvironments)
        self._env, self._seed, self.render_fps = env, seed, env.render_fps
        self._action: PyTree = None

    def begin_again(self) -> None:
        self._env.begin_again(self._seed)

    def reset(self) -> PyTree:
        self._action = None
        return self._env.reset(np.ones(1, int))

    def step(self, action: PyTree) -> Seen:
        self._env.send(action)
        self._action = _first(action)
        found = self._env.receive()
        return Seen(found.next_obs, float(found.reward[0]), bool(found.terminated[0]), bool(found.truncated[0]))

    def picture(self) -> Picture:
        return self._env.picture(self._action)

    def close(self) -> None:
        self._env.close()


def open_stage(
    task: Task, seed: int, *, action_bounds: Bounds = (None, None), env_kwargs: Mapping[str, object] | None = None
) -> AbstractStage:
    """An environment that is seen. **Raises** `InputError` where it has no pictures, with what to do.

    **Arguments**

    - `seed`: of its episodes.
    - `action_bounds`, `env_kwargs`: what it was found with.
    """
    if task.env is not None:
        return CompiledStage(task.env, seed)
    if task.backend == "envpool":
        task = _in_gymnasium(task, action_bounds, env_kwargs)
    assert task.make is not None
    env = task.make(1, seed, render=True)
    try:
        stage = HostStage(env, seed)
        stage.reset()
        stage.picture()
        stage.begin_again()
        return stage
    except BaseException:
        env.close()
        raise


def _in_gymnasium(task: Task, action_bounds: Bounds, env_kwargs: Mapping[str, object] | None) -> Task:
    """Gymnasium's environment of the same id as one of EnvPool's, which has no pictures."""
    name = f"EnvPool's {task.id} has no pictures, so Gymnasium's environment of the same id is recorded"
    try:
        masks = isinstance(task.observation_space, Masked)
        found = resolve(task.id, "gymnasium", action_bounds, env_kwargs=env_kwargs, action_masks=masks)
    except (InputError, EnvironmentFault) as error:
        raise InputError(f"{name}, and that cannot be made: {error}") from error
    for role, theirs, ours, same in (
        ("observation", task.observation_space, found.observation_space, same_kind),
        ("action", task.action_space, found.action_space, _equal),
    ):
        if not same(theirs, ours):
            raise InputError(
                f"{name}; but its {role} space is {ours}, and the run was made with {theirs}. Train with "
                f"--backend gymnasium for a run that can be recorded."
            )
    limit = task.max_episode_steps
    return found if limit is None or limit == found.max_episode_steps else found.limited(limit)


def _first(tree: PyTree) -> PyTree:
    """The first row of every array of a tree."""
    return jax.tree.map(lambda leaf: np.asarray(np.asarray(leaf)[0]), tree)


def _equal(one: Space, other: Space) -> bool:
    return one == other


def _checked(name: str, picture: object) -> Picture:
    found = np.asarray(picture)
    if found.dtype != np.uint8 or found.ndim != 3 or found.shape[-1] != 3:
        raise EnvironmentFault(
            f"{name}: draw returned {found.dtype}{list(found.shape)}; it must return bytes [height, width, 3] (uint8). "
            f"Correct the environment."
        )
    return found
