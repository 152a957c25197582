"""EnvPool's environments: written in C++, stepped by threads of their own."""

from typing import Any

import numpy as np

from steepest.core.errors import EnvironmentFault, InputError
from steepest.envs.adapters.gymnasium import Bounds, from_gymnasium
from steepest.envs.adapters.vector import (
    AbstractVectorEnvironment,
    Step,
    checked_observation,
    checked_reward,
    clipped,
)


class EnvPoolEnvironment(AbstractVectorEnvironment):
    """N environments of one pool, all stepped before any is answered, so that the result does not depend on timing.

    The pool starts an episode anew on the step after its end and ignores that step's action; such rows are not
    `valid`. The seed goes into the constructor: the pool ignores one given to `reset`.

    **Arguments**

    - `seed`: of the pool.
    - `threads`: that step the environments; 0 leaves it to EnvPool.
    """

    def __init__(
        self, id: str, *, num_envs: int, seed: int, threads: int = 0, action_bounds: Bounds = (None, None)
    ):
        envpool = _library()
        self.id = id
        self.library = f"envpool {envpool.__version__}"
        self.num_envs = num_envs
        try:
            self._pool = envpool.make_gymnasium(id, num_envs=num_envs, seed=seed % 2**31, num_threads=threads)
        except Exception as error:
            raise EnvironmentFault(f"environment {id} could not be made: {type(error).__name__}: {error}") from error
        self.observation_space = from_gymnasium("observation", self._pool.observation_space)
        self.action_space = from_gymnasium("action", self._pool.action_space, action_bounds)
        self._action_type = self._pool.action_space.dtype
        self.max_episode_steps = int(self._pool.spec.config.max_episode_steps)
        self._ended = np.zeros(num_envs, bool)

    def reset(self) -> np.ndarray:
        obs, _ = self._pool.reset()
        self._ended[:] = False
        return self._observation(obs)

    def send(self, action: np.ndarray) -> None:
        self._pool.send(clipped(self.action_space, action).astype(self._action_type))

    def receive(self) -> Step:
        raw, reward, terminated, truncated, _ = self._pool.recv()
        obs = self._observation(raw)
        terminated, truncated = np.array(terminated, bool), np.array(truncated, bool)
        valid, self._ended = ~self._ended, terminated | truncated
        return Step(obs, obs, checked_reward(self.id, reward, self.num_envs), terminated, truncated, valid)

    def close(self) -> None:
        self._pool.close()

    def _observation(self, raw: Any) -> np.ndarray:
        return checked_observation(self.id, self.observation_space, raw, self.num_envs)


def _library() -> Any:
    try:
        import envpool
    except ImportError:
        raise InputError("backend is 'envpool', which is not installed. Run: pip install 'steepest[envpool]'.") from None
    return envpool


def available(id: str) -> bool:
    """Whether EnvPool is installed and has this environment."""
    try:
        import envpool
    except ImportError:
        return False
    return id in envpool.list_all_envs()


def known_ids() -> list[str]:
    """The ids that EnvPool has; none when it is not installed."""
    try:
        import envpool
    except ImportError:
        return []
    return sorted(envpool.list_all_envs())
