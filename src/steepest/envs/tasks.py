"""Which environment, and who runs it."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from steepest.core.errors import InputError, unknown
from steepest.core.spaces import Box, Space
from steepest.envs import COMPILED, compiled

if TYPE_CHECKING:
    import gymnasium

    from steepest.envs.adapters.vector import AbstractVectorEnvironment
    from steepest.envs.environment import AbstractEnvironment

    EnvironmentLike = str | AbstractEnvironment | Callable[[], gymnasium.Env]
else:  # neither JAX nor Gymnasium is imported for a name
    EnvironmentLike = object
"""What `steepest.train` takes for an environment: an id, a compiled one, or a function that makes a Gymnasium one."""
BACKENDS = ("auto", "compiled", "envpool", "gymnasium")
Bounds = tuple[float | None, float | None]


@dataclasses.dataclass(frozen=True)
class Task:
    """An environment that was found, and how to get more of it.

    - `backend`: who runs it; `library`: whose it is, with its version.
    - `env`: the compiled environment; None on the other backends.
    - `make`: `(num_envs, seed)` to vector environments; None on the compiled backend.
    - `source`: what it was found by, an id or one of the other things that `resolve` takes.
    - `importable`: whether that is an id, by which another process finds it too.
    """

    id: str
    backend: str
    library: str
    observation_space: Space
    action_space: Space
    max_episode_steps: int | None
    source: EnvironmentLike
    env: AbstractEnvironment | None = None
    make: Callable[[int, int], AbstractVectorEnvironment] | None = None

    @property
    def importable(self) -> bool:
        return isinstance(self.source, str)

    def groups(self, num_envs: int, seed: int, begun: int = 0) -> list[AbstractVectorEnvironment]:
        """The environments of one seed: two groups where they step in threads of their own, else one.

        **Arguments**

        - `begun`: updates that the seed has made; after each number of them other episodes come.
        """
        assert self.make is not None
        count = 2 if self.backend == "envpool" and num_envs % 2 == 0 else 1
        seeds = np.random.SeedSequence((seed, begun)).generate_state(count)
        return [self.make(num_envs // count, int(each)) for each in seeds]


def resolve(env: EnvironmentLike, backend: str = "auto", action_bounds: Bounds = (None, None)) -> Task:
    """Find an environment.

    **Arguments**

    - `env`: an id; a compiled environment; or a function that makes a Gymnasium environment.
    - `backend`: who is to run it. `auto` takes the compiled one, then EnvPool's, then Gymnasium's.
    - `action_bounds`: to use where a continuous action space has none.

    **Raises** `InputError` when there is no such environment, or not on this backend, or bounds that it does not use.
    """
    return _within(_find(env, backend, action_bounds), action_bounds)


def _find(env: EnvironmentLike, backend: str, action_bounds: Bounds) -> Task:
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    if not isinstance(env, str):
        return _given(env, action_bounds)
    if backend == "compiled" and env not in COMPILED:
        raise unknown("compiled environment", env, COMPILED)
    if backend in ("auto", "compiled") and env in COMPILED:
        return _compiled(env)
    if backend == "envpool" or (backend == "auto" and _envpool_has(env)):
        return _envpool(env, action_bounds)
    return _gymnasium(env, action_bounds)


def _given(env: EnvironmentLike, action_bounds: Bounds) -> Task:
    from steepest.envs.environment import AbstractEnvironment

    if isinstance(env, AbstractEnvironment):
        return _describe_compiled(env, source=env)
    if callable(env):
        return _gymnasium(env, action_bounds)
    raise InputError(
        f"env is a {type(env).__name__}; it must be an id, a compiled environment, or a function that makes a "
        f"Gymnasium environment."
    )


def _within(task: Task, bounds: Bounds) -> Task:
    """The task. **Raises** `InputError` for bounds that change nothing, since somebody counts on them."""
    space = task.action_space
    for name, bound in zip(("action_low", "action_high"), bounds, strict=True):
        if bound is None:
            continue
        if not math.isfinite(bound):
            raise InputError(f"{name} is {bound}; it must be finite. Leave it out for no bound.")
        if not isinstance(space, Box):
            raise InputError(f"{name} is {bound:g}, but actions of {task.id} are {type(space).__name__}. Leave it out.")
        if not np.any((space.low if name == "action_low" else space.high) == np.float32(bound)):
            raise InputError(
                f"{name} is {bound:g}, but actions of {task.id} have bounds, {space.low.min():g} to "
                f"{space.high.max():g}, or cannot be given any. Leave it out, or change the environment in a wrapper."
            )
    return task


def _compiled(env: str) -> Task:
    found = compiled(env)
    assert found is not None
    return _describe_compiled(found, source=env)


def _describe_compiled(env: AbstractEnvironment, *, source: EnvironmentLike) -> Task:
    limit = next((field for field in dataclasses.fields(env) if field.name == "max_episode_steps"), None)
    if limit is not None and not limit.metadata.get("static"):
        raise InputError(
            f"{type(env).__name__}.max_episode_steps is a number that may change, and a time limit is part of the "
            f"program. Declare it without a type, or as equinox.field(static=True)."
        )
    return Task(
        id=env.id,
        backend="compiled",
        library="steepest",
        observation_space=env.observation_space,
        action_space=env.action_space,
        max_episode_steps=env.max_episode_steps,
        source=source,
        env=env,
    )


def _envpool_has(env: str) -> bool:
    if importlib.util.find_spec("envpool") is None:
        return False
    from steepest.envs.adapters import envpool

    return envpool.available(env)


def _envpool(env: str, action_bounds: Bounds) -> Task:
    from steepest.envs.adapters import envpool

    known = envpool.known_ids()
    if known and env not in known:
        raise unknown("EnvPool environment", env, known, "steepest list envs")

    def make(num_envs: int, seed: int) -> AbstractVectorEnvironment:
        return envpool.EnvPoolEnvironment(env, num_envs=num_envs, seed=seed, action_bounds=action_bounds)

    return _describe_host("envpool", make, source=env)


def _gymnasium(env: str | Callable[[], gymnasium.Env], action_bounds: Bounds) -> Task:
    from steepest.envs.adapters import gymnasium

    def make(num_envs: int, seed: int) -> AbstractVectorEnvironment:
        return gymnasium.make(env, num_envs=num_envs, seed=seed, action_bounds=action_bounds)

    return _describe_host("gymnasium", make, source=env)


def _describe_host(
    backend: str, make: Callable[[int, int], AbstractVectorEnvironment], *, source: EnvironmentLike
) -> Task:
    one = make(1, 0)
    try:
        return Task(
            id=one.id,
            backend=backend,
            library=one.library,
            observation_space=one.observation_space,
            action_space=one.action_space,
            max_episode_steps=one.max_episode_steps,
            source=source,
            make=make,
        )
    finally:
        one.close()


@functools.cache
def environment_ids() -> dict[str, list[str]]:
    """The environments that each installed backend knows."""
    from steepest.envs.adapters import envpool, gymnasium

    return {"compiled": sorted(COMPILED), "envpool": envpool.known_ids(), "gymnasium": gymnasium.known_ids()}
