"""Gymnasium's environments, and any that a user gives as a factory."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from steepest.core.errors import EnvironmentFault, InputError, unknown
from steepest.core.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space
from steepest.envs.adapters.vector import (
    AbstractVectorEnvironment,
    Step,
    checked_observation,
    checked_reward,
    clipped,
)

Factory = Callable[[], gymnasium.Env]
Bounds = tuple[float | None, float | None]


class GymnasiumEnvironment(AbstractVectorEnvironment):
    """N environments of Gymnasium behind one vector environment, whatever its way of starting anew.

    **Arguments**

    - `environments`: Gymnasium's own vector environment.
    - `seed`: of the first reset; every environment gets one of its own, derived from it.
    - `action_bounds`: to use where the action space has none.
    """

    def __init__(self, environments: VectorEnv, *, id: str, seed: int, action_bounds: Bounds = (None, None)):
        self.id = id
        self.library = f"gymnasium {gymnasium.__version__}"
        self._environments = environments
        self._mode = environments.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self.num_envs = environments.num_envs
        self.observation_space = from_gymnasium("observation", environments.single_observation_space)
        self.action_space = from_gymnasium("action", environments.single_action_space, action_bounds)
        self._starts = (
            _starts(environments.single_observation_space),
            _starts(environments.single_action_space),
        )
        self._action_type = environments.single_action_space.dtype
        spec = environments.spec
        self.max_episode_steps = spec.max_episode_steps if spec else None
        self._seeds = np.random.SeedSequence(seed).generate_state(self.num_envs).tolist()
        self._ended = np.zeros(self.num_envs, bool)
        self._action: np.ndarray | None = None

    def reset(self) -> np.ndarray:
        with self._named():
            obs, _ = self._environments.reset(seed=self._seeds)
        self._ended[:] = False
        return self._observation(obs)

    def send(self, action: np.ndarray) -> None:
        self._action = (clipped(self.action_space, action) + self._starts[1]).astype(self._action_type)
        if hasattr(self._environments, "step_async"):
            with self._named():
                self._environments.step_async(self._action)

    def receive(self) -> Step:
        with self._named():
            if hasattr(self._environments, "step_wait"):
                answer = self._environments.step_wait()
            else:
                answer = self._environments.step(self._action)
        raw, reward, terminated, truncated, info = answer
        obs = self._observation(raw)
        reward = checked_reward(self.id, reward, self.num_envs)
        terminated, truncated = np.asarray(terminated, bool), np.asarray(truncated, bool)
        ended, next_obs, valid = terminated | truncated, obs, np.ones(self.num_envs, bool)
        if self._mode == AutoresetMode.NEXT_STEP:
            valid, self._ended = ~self._ended, ended
        elif self._mode == AutoresetMode.SAME_STEP:
            if ended.any():
                final = np.array([info["final_obs"][index] for index in np.flatnonzero(ended)])
                next_obs = obs.copy()
                next_obs[ended] = checked_observation(
                    self.id, self.observation_space, final - self._starts[0], len(final)
                )
        elif ended.any():
            with self._named():
                raw, _ = self._environments.reset(options={"reset_mask": ended})
            obs = self._observation(raw)
        return Step(obs, next_obs, reward, terminated, truncated, valid)

    def close(self) -> None:
        self._environments.close()

    def _observation(self, raw: Any) -> np.ndarray:
        array = np.asarray(raw) - self._starts[0] if np.any(self._starts[0]) else raw
        return checked_observation(self.id, self.observation_space, array, self.num_envs).copy()

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Say whose fault it is when an environment raises."""
        try:
            yield
        except Exception as error:
            raise EnvironmentFault(f"{self.id} raised {type(error).__name__}: {error}") from error


def from_gymnasium(role: str, space: gymnasium.Space, bounds: Bounds = (None, None)) -> Space:
    """The same space in steepest's words.

    **Raises** `InputError` for a kind of space that policies and critics cannot take.
    """
    match space:
        case gymnasium.spaces.Discrete():
            return Discrete(int(space.n), int(space.start))
        case gymnasium.spaces.MultiDiscrete() if space.nvec.ndim == 1:
            return MultiDiscrete(tuple(space.nvec.tolist()))
        case gymnasium.spaces.MultiBinary(n=int(n)):
            return MultiBinary(n)
        case gymnasium.spaces.Box():
            low, high = (
                np.where(np.isfinite(own), own, own if given is None else given)
                for own, given in zip((space.low, space.high), bounds, strict=True)
            )
            return Box(low, high, space.shape)
        case _:
            raise InputError(
                f"{role} space is a {type(space).__name__}; Box, Discrete, MultiDiscrete (one axis) and MultiBinary are "
                f"supported. Flatten it with a wrapper, such as gymnasium.wrappers.FlattenObservation."
            )


def _starts(space: gymnasium.Space) -> Any:
    """What the environment calls choice 0."""
    match space:
        case gymnasium.spaces.Discrete(start=start):
            return np.int64(start)
        case gymnasium.spaces.MultiDiscrete(start=start):
            return start
        case _:
            return np.zeros((), space.dtype if isinstance(space, gymnasium.spaces.Box) else np.int64)


def known_ids() -> list[str]:
    """The ids that Gymnasium has registered."""
    return sorted(gymnasium.registry)


def make(
    source: str | Factory, *, num_envs: int, seed: int, action_bounds: Bounds = (None, None)
) -> GymnasiumEnvironment:
    """N environments from a registered id, or from a function that makes one.

    They are stepped in this process. At an end they start anew within the step, so no action is wasted.

    **Raises** `InputError` for an id that is not registered or cannot be made, with what to do.
    """
    if isinstance(source, str):
        _check_registered(source)
        name, factory = source, functools.partial(gymnasium.make, source)
    else:
        name, factory = getattr(source, "__name__", type(source).__name__), source
    try:
        environments = SyncVectorEnv([factory] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
    except gymnasium.error.DependencyNotInstalled as error:
        raise InputError(f"environment {name}: {error}. Install it: pip install 'steepest[mujoco]'.") from error
    except Exception as error:
        raise EnvironmentFault(f"environment {name} could not be made: {type(error).__name__}: {error}") from error
    if environments.spec is not None and isinstance(source, str):
        name = environments.spec.id
    return GymnasiumEnvironment(environments, id=name, seed=seed, action_bounds=action_bounds)


def _check_registered(id: str) -> None:
    with contextlib.suppress(gymnasium.error.Error, ModuleNotFoundError):
        gymnasium.spec(id)
        return
    raise unknown("environment", id, known_ids())
