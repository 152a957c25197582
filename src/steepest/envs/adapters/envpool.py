"""The adapter of EnvPool, whose environments are written in C++ and stepped by threads."""

import contextlib
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from steepest.core.conversion import to_environment
from steepest.core.errors import EnvironmentFault, InputError, unknown
from steepest.core.types import PyTree
from steepest.envs.adapters.faults import raised
from steepest.envs.adapters.gymnasium import without_noise
from steepest.envs.adapters.gymnasium_spaces import Bounds, from_gymnasium
from steepest.envs.adapters.vector import AbstractVectorEnvironment, Step, checked_observation, checked_reward, replaced

_NO_LIMIT = 2**31 - 1
"""EnvPool's time limit of environments without one; for some it is 0."""


class EnvPoolEnvironment(AbstractVectorEnvironment):
    """A vector environment of N EnvPool environments, stepped synchronously so that results do not depend on timing.

    The pool starts an episode anew on the step after its end and ignores that step's action; such rows are not
    `valid`. The seed goes into the constructor: the pool ignores one given to `reset`. An episode that terminates in
    the very step of the time limit comes out as truncated, because EnvPool does not tell.

    **Arguments**

    - `name`: EnvPool's id of the environment.
    - `seed`: of the pool.
    - `threads`: that step the environments; 0 leaves it to EnvPool.
    - `action_bounds`: to use where the action space has none.
    - `max_episode_steps`: a time limit in place of its own.
    - `env_kwargs`: of EnvPool's constructor.

    **Raises** `InputError` for an id that EnvPool does not have, or where EnvPool is not installed.
    """

    def __init__(
        self,
        name: str,
        *,
        num_envs: int,
        seed: int,
        threads: int = 0,
        action_bounds: Bounds = (None, None),
        max_episode_steps: int | None = None,
        env_kwargs: Mapping[str, Any] | None = None,
    ):
        envpool = _library()
        self.id = name
        self.library = f"envpool {envpool.__version__}"
        self.num_envs = num_envs
        if name not in envpool.list_all_envs():
            raise unknown("EnvPool environment", name, known_ids(), "steepest list envs")
        try:
            with without_noise():
                given = dict(env_kwargs or {})
                if max_episode_steps is not None:
                    given["max_episode_steps"] = max_episode_steps
                self._pool: Any = envpool.make_gymnasium(
                    name, num_envs=num_envs, seed=_base(seed), num_threads=threads, **given
                )
                observation_space, action_space = self._pool.observation_space, self._pool.action_space
        except Exception as error:
            raise EnvironmentFault(
                f"environment {name} could not be made: {type(error).__name__}: {error}. Try backend='gymnasium'."
            ) from error
        self.observation_space = from_gymnasium("observation", observation_space)
        self.action_space = from_gymnasium("action", action_space, action_bounds)
        limit = int(self._pool.spec.config.max_episode_steps)
        self.max_episode_steps = limit if 0 < limit < _NO_LIMIT else None
        self._which, self._ended = np.arange(num_envs), np.zeros(num_envs, bool)
        self._elapsed = np.zeros(num_envs, np.int64)

    def reset(self, episodes: Int[np.ndarray, " N"] | None = None) -> PyTree:
        """Begin an episode in every environment, also in those that are in the middle of one. None of them rests."""
        with self._named():
            raw, _ = self._pool.reset()
        self._ended[:], self._elapsed[:] = False, 0
        return self._observation(raw, self._which)

    def send(self, action: PyTree) -> None:
        """Hand the actions to the pool's threads, and return at once."""
        with self._named():
            self._pool.send(to_environment(self.action_space, action))

    def receive(self) -> Step:
        """Wait for every environment of the pool."""
        with self._named():
            raw, reward, terminated, truncated, _ = self._pool.recv()
        obs = next_obs = self._observation(raw, self._which)
        valid, self._ended = ~self._ended, terminated | truncated
        self._elapsed = np.where(valid, self._elapsed + 1, 0)
        late = valid & ~self._ended & (self._elapsed >= (self.max_episode_steps or _NO_LIMIT))
        if late.any():
            obs, truncated = self._cut(next_obs, late), truncated | late
        return Step(obs, next_obs, checked_reward(self.id, reward, self.num_envs), terminated, truncated, valid)

    def _cut(self, obs: PyTree, late: Bool[np.ndarray, " N"]) -> PyTree:
        """Begin new episodes where the time is over and the pool does not see that: CliffWalking's has no clock."""
        with self._named():
            raw, _ = self._pool.reset(options={"reset_mask": late})
        self._elapsed[late] = 0
        return replaced(self.observation_space, obs, late, self._observation(raw, np.flatnonzero(late)))

    def close(self) -> None:
        """Stop the pool's threads. The pool's own `close` leaves them running; they end with the last reference."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Turn what the pool raises into a fault of the environment."""
        try:
            yield
        except Exception as error:
            raise raised(self.id, error) from error

    def _observation(self, raw: PyTree, which: Int[np.ndarray, " n"]) -> PyTree:
        return checked_observation(self.id, self.observation_space, raw, which)


def _base(seed: int) -> int:
    """The seed of a pool's first environment; the others' follow it, one by one.

    Without the hash, pools with seeds 1 and 2 would share nearly all of their environments.
    """
    return int(np.random.SeedSequence(seed).generate_state(1)[0]) % 2**31


def _library() -> ModuleType:
    try:
        import envpool
    except ImportError:
        raise InputError(
            "backend is 'envpool', which is not installed. Run: pip install 'steepest[envpool]'."
        ) from None
    return envpool


def available(name: str) -> bool:
    """Whether EnvPool is installed and has this environment."""
    return name in known_ids()


def known_ids() -> list[str]:
    """The ids that EnvPool has; none when it is not installed."""
    try:
        import envpool
    except ImportError:
        return []
    return sorted(envpool.list_all_envs())
