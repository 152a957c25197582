"""EnvPool's environments: written in C++, stepped by threads of their own."""

from typing import Any

import numpy as np

from steepest.core.errors import EnvironmentFault, InputError, unknown
from steepest.envs.adapters.gymnasium import ActionConverter, Bounds, first_choice, from_gymnasium, without_noise
from steepest.envs.adapters.vector import AbstractVectorEnvironment, Step, checked_observation, checked_reward

_NO_LIMIT = 2**31 - 1
"""What EnvPool says of environments whose episodes may go on for ever; of some it says 0."""


class EnvPoolEnvironment(AbstractVectorEnvironment):
    """N environments of one pool, all stepped before any is answered, so that the result does not depend on timing.

    The pool starts an episode anew on the step after its end and ignores that step's action; such rows are not
    `valid`. The seed goes into the constructor: the pool ignores one given to `reset`. An episode that terminates in
    the very step of the time limit comes out as truncated, because EnvPool does not tell.

    **Arguments**

    - `seed`: of the pool.
    - `threads`: that step the environments; 0 leaves it to EnvPool.

    **Raises** `InputError` for an id that EnvPool does not have, or where EnvPool is not installed.
    """

    def __init__(
        self, id: str, *, num_envs: int, seed: int, threads: int = 0, action_bounds: Bounds = (None, None)
    ):
        envpool = _library()
        self.id = id
        self.library = f"envpool {envpool.__version__}"
        self.num_envs = num_envs
        if id not in envpool.list_all_envs():
            raise unknown("EnvPool environment", id, known_ids())
        try:
            with without_noise():
                self._pool = envpool.make_gymnasium(id, num_envs=num_envs, seed=seed % 2**31, num_threads=threads)
                observation_space, action_space = self._pool.observation_space, self._pool.action_space
        except Exception as error:
            raise EnvironmentFault(
                f"environment {id} could not be made: {type(error).__name__}: {error}. Try backend='gymnasium'."
            ) from error
        self.observation_space = from_gymnasium("observation", observation_space)
        self.action_space = from_gymnasium("action", action_space, action_bounds)
        self._first_observation = first_choice(observation_space)
        self._actions = ActionConverter(self.action_space, action_space)
        limit = int(self._pool.spec.config.max_episode_steps)
        self.max_episode_steps = limit if 0 < limit < _NO_LIMIT else None
        self._ended = np.zeros(num_envs, bool)

    def reset(self) -> np.ndarray:
        raw, _ = self._pool.reset()
        self._ended = np.zeros(self.num_envs, bool)
        return self._observation(raw)

    def send(self, action: np.ndarray) -> None:
        self._pool.send(self._actions(action))

    def receive(self) -> Step:
        raw, reward, terminated, truncated, _ = self._pool.recv()
        obs = self._observation(raw)
        valid, self._ended = ~self._ended, terminated | truncated
        return Step(obs, obs, checked_reward(self.id, reward, self.num_envs), terminated, truncated, valid)

    def close(self) -> None:
        self._pool.close()

    def _observation(self, raw: Any) -> np.ndarray:
        if self._first_observation is not None:
            raw = raw - self._first_observation
        return checked_observation(self.id, self.observation_space, raw, self.num_envs)


def _library() -> Any:
    try:
        import envpool
    except ImportError:
        raise InputError("backend is 'envpool', which is not installed. Run: pip install 'steepest[envpool]'.") from None
    return envpool


def available(id: str) -> bool:
    """Whether EnvPool is installed and has this environment."""
    return id in known_ids()


def known_ids() -> list[str]:
    """The ids that EnvPool has; none when it is not installed."""
    try:
        import envpool
    except ImportError:
        return []
    return sorted(envpool.list_all_envs())
