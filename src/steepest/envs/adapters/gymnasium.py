"""The adapter of Gymnasium, for registered environments and for factories."""

import contextlib
import functools
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from jaxtyping import Bool, Shaped

from steepest.core.errors import EnvironmentFault, InputError, unknown
from steepest.core.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space
from steepest.core.types import PyTree
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
    """A vector environment of N Gymnasium environments, with any autoreset mode.

    **Arguments**

    - `environments`: Gymnasium's own vector environment, or one with its interface.
    - `name`: of the environment, in messages.
    - `seed`: of the first reset; the seed of every environment is derived from it.
    - `action_bounds`: to use where the action space has none.
    """

    def __init__(self, environments: VectorEnv, *, name: str, seed: int, action_bounds: Bounds = (None, None)):
        self.id = name
        self.library = f"gymnasium {gymnasium.__version__}"
        self._environments: Any = environments  # some kinds have methods that Gymnasium's base class does not
        self._mode = AutoresetMode(environments.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))
        self.num_envs = environments.num_envs
        self.observation_space = from_gymnasium("observation", environments.single_observation_space)
        self.action_space = from_gymnasium("action", environments.single_action_space, action_bounds)
        self.max_episode_steps = _time_limit(environments)
        self._first_observation = first_choice(environments.single_observation_space)
        self._actions = ActionConverter(self.action_space, environments.single_action_space)
        self._seeds: list[int] | None = np.random.SeedSequence(seed).generate_state(self.num_envs).tolist()
        self._ended = np.zeros(self.num_envs, bool)
        self._action = np.zeros(0)

    def reset(self) -> Shaped[np.ndarray, "N ..."]:
        """Begin an episode in every environment, seeded the first time only."""
        with self._named():
            raw, _ = self._environments.reset(seed=self._seeds)
        # Given again, the seeds would bring the same episodes again. Without them every environment goes on drawing.
        self._seeds = None
        self._ended[:] = False
        return self._observation(raw)

    def send(self, action: Shaped[np.ndarray, "N ..."]) -> None:
        """Start the step where the environments can; others wait for `receive`."""
        self._action = self._actions(action)
        if hasattr(self._environments, "step_async"):
            with self._named():
                self._environments.step_async(self._action)

    def receive(self) -> Step:
        """Finish the step, with the true successors whatever the autoreset mode."""
        with self._named():
            if hasattr(self._environments, "step_wait"):
                answer = self._environments.step_wait()
            else:
                answer = self._environments.step(self._action)
            raw, reward, terminated, truncated, info = answer
            terminated, truncated = np.array(terminated, bool), np.array(truncated, bool)
        reward, ended = checked_reward(self.id, reward, self.num_envs), terminated | truncated
        obs = next_obs = self._observation(raw)
        valid = np.ones(self.num_envs, bool)
        if self._mode == AutoresetMode.NEXT_STEP:
            valid, self._ended = ~self._ended, ended
        elif self._mode == AutoresetMode.SAME_STEP and ended.any():
            next_obs = self._observation(self._true_successors(raw, info, ended))
        elif self._mode == AutoresetMode.DISABLED and ended.any():
            with self._named():
                raw, _ = self._environments.reset(options={"reset_mask": ended})
            obs = self._observation(raw)
        return Step(obs, next_obs, reward, terminated, truncated, valid)

    def close(self) -> None:
        """Close every environment."""
        self._environments.close()

    def _observation(self, raw: object) -> Shaped[np.ndarray, "N ..."]:
        if self._first_observation is not None:
            raw = np.asarray(raw) - self._first_observation
        return checked_observation(self.id, self.observation_space, raw, self.num_envs)

    def _true_successors(self, raw: object, info: dict, ended: Bool[np.ndarray, " N"]) -> np.ndarray:
        """The observations with those of new episodes replaced by the last ones of the old."""
        if "final_obs" not in info:
            raise EnvironmentFault(
                f"{self.id}: an episode ended, and the vector environment begins the next in the same step without "
                f"info['final_obs']. Correct it, or make it with AutoresetMode.NEXT_STEP."
            )
        successors = np.array(raw)
        with self._named():
            for index in np.flatnonzero(ended):
                successors[index] = info["final_obs"][index]
        return successors

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Turn what an environment raises into an `EnvironmentFault` that names it."""
        try:
            yield
        except EnvironmentFault:
            raise
        except Exception as error:
            raise EnvironmentFault(
                f"{self.id} raised {type(error).__name__}: {_one_line(error)}. Correct the environment."
            ) from error


class ActionConverter:
    """The conversion of a policy's actions into a library's: clipped to the bounds, and choices in its own numbering.

    **Arguments**

    - `space`: of steepest; `theirs`: of Gymnasium.
    """

    def __init__(self, space: Space, theirs: gymnasium.Space):
        self._space, self._type, self._first = space, theirs.dtype, first_choice(theirs)
        self._rounds = isinstance(space, Box) and np.issubdtype(theirs.dtype, np.integer)

    def __call__(self, action: Shaped[np.ndarray, "N ..."]) -> Shaped[np.ndarray, "N ..."]:
        """Convert one action of each environment."""
        action = clipped(self._space, action)
        if self._first is not None:
            action = action + self._first
        if self._rounds:  # the nearest; a cast alone would hardly ever reach the upper bound
            action = np.rint(action)
        return action.astype(self._type)


def from_gymnasium(role: str, space: gymnasium.Space, bounds: Bounds = (None, None)) -> Space:
    """The space of steepest for a Gymnasium space.

    **Raises** `InputError` for a kind of space that policies and critics cannot take.
    """
    match space:
        case gymnasium.spaces.Discrete():
            return Discrete(int(space.n), int(space.start))
        case gymnasium.spaces.MultiDiscrete() if space.nvec.ndim == 1:
            return MultiDiscrete(tuple(space.nvec.tolist()))
        case gymnasium.spaces.MultiBinary() if len(space.shape) == 1:
            return MultiBinary(space.shape[0])
        case gymnasium.spaces.Box():
            return _box(role, space, bounds)
        case _:
            wrapper = "FlattenObservation" if role == "observation" else "TransformAction"
            raise InputError(
                f"{role} space is a {type(space).__name__}{_axes(space)}; Box, Discrete, and MultiDiscrete and "
                f"MultiBinary with one axis are supported. Give a function that makes the environment inside a "
                f"wrapper, such as gymnasium.wrappers.{wrapper}."
            )


def _axes(space: gymnasium.Space) -> str:
    return f" of shape {space.shape}" if space.shape else ""


def _box(role: str, space: gymnasium.spaces.Box, bounds: Bounds) -> Box:
    # A bound at the end of float32 is how some environments say that there is none.
    largest = np.finfo(np.float32).max
    low = np.where(space.low <= -largest, -np.inf, space.low)
    high = np.where(space.high >= largest, np.inf, space.high)
    if role == "observation":
        # Nothing depends on these bounds, so an observation with a component that never changes is welcome.
        constant = low.astype(np.float32) >= high.astype(np.float32)
        return Box(np.where(constant, -np.inf, low), np.where(constant, np.inf, high), space.shape)
    low = low if bounds[0] is None else np.where(np.isinf(low), bounds[0], low)
    high = high if bounds[1] is None else np.where(np.isinf(high), bounds[1], high)
    if np.any(low >= high):
        where = np.argwhere(low >= high)[0].tolist()
        raise InputError(
            f"action space: component {where} lies between {low[tuple(where)]:g} and {high[tuple(where)]:g}; the first "
            f"must be below the second. Correct action_low and action_high, or take the component out in a wrapper."
        )
    return Box(low, high, space.shape)


def first_choice(space: gymnasium.Space) -> np.ndarray | None:
    """The environment's own number of choice 0, where that is not 0."""
    match space:
        case gymnasium.spaces.Discrete(start=start) | gymnasium.spaces.MultiDiscrete(start=start) if np.any(start):
            return np.asarray(start)
        case _:
            return None


def known_ids() -> list[str]:
    """The ids that Gymnasium has registered."""
    return sorted(gymnasium.registry)


def make(
    source: str | Factory, *, num_envs: int, seed: int, action_bounds: Bounds = (None, None)
) -> GymnasiumEnvironment:
    """N environments from a registered id, or from a function that makes one.

    They are stepped in this process, and reset by the adapter: no step is lost to a reset, and the last
    observation of an episode is copied before an environment that keeps it in one place can overwrite it.

    **Raises** `InputError` for an id that is not registered or cannot be made, with what to do; `EnvironmentFault`
    for a function that raises.
    """
    if isinstance(source, str):
        _check_registered(source)
        # What the passive checker warns of is checked here too, or does not matter here.
        name, factory = source, functools.partial(gymnasium.make, source, disable_env_checker=True)
    else:
        name, factory = getattr(source, "__name__", type(source).__name__), source

    def one() -> gymnasium.Env:
        made = factory()
        if not isinstance(made, gymnasium.Env):
            raise TypeError(f"it returned a {type(made).__name__}, which is no gymnasium.Env")
        return _Shaped(made)

    environments = _together(name, one, num_envs)
    try:
        if len({id(each.unwrapped) for each in environments.envs}) < num_envs:
            raise InputError(
                f"environment {name}: the function returned the same environment twice. Make a new one at every call."
            )
        return GymnasiumEnvironment(environments, name=name, seed=seed, action_bounds=action_bounds)
    except Exception:
        environments.close()
        raise


def _check_registered(source: str) -> None:
    module, colon, name = source.rpartition(":")
    try:
        if colon:
            importlib.import_module(module)
        with without_noise():
            gymnasium.spec(name)
    except ImportError as error:
        raise InputError(
            f"environment {source}: {module} cannot be imported: {_one_line(error)}. Install it, or correct its name."
        ) from error
    except gymnasium.error.Error as error:
        raise unknown("environment", source, known_ids(), "steepest list envs") from error


def _together(name: str, factory: Factory, num_envs: int) -> SyncVectorEnv:
    try:
        with without_noise(name):
            return SyncVectorEnv([factory] * num_envs, autoreset_mode=AutoresetMode.DISABLED)
    except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
        missing = isinstance(error, gymnasium.error.DependencyNotInstalled) and "mujoco" in str(error).lower()
        remedy = (
            "Run: pip install 'steepest[mujoco]'." if missing else "Install what it needs, or take another version."
        )
        raise InputError(f"environment {name} cannot be made: {_one_line(error)}. {remedy}") from error
    except Exception as error:
        raise EnvironmentFault(
            f"environment {name} could not be made: {type(error).__name__}: {_one_line(error)}. "
            f"Correct the function that makes it, or what it is given."
        ) from error


class _Shaped(gymnasium.Wrapper):
    """A wrapper that checks the shape of observations, for a clearer message than the vector environment's."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self._shape = env.observation_space.shape

    def reset(self, **arguments: Any) -> tuple[object, dict]:
        obs, info = self.env.reset(**arguments)
        return self._checked(obs), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict]:
        obs, reward, terminated, truncated, info = self.env.step(action)
        return self._checked(obs), reward, terminated, truncated, info

    def _checked(self, obs: PyTree) -> PyTree:
        if np.shape(obs) != self._shape:
            raise ValueError(f"an observation has shape {np.shape(obs)}; its space says {self._shape}")
        return obs


def _time_limit(environments: VectorEnv) -> int | None:
    """The time limit of the environments, from their spec or from a `TimeLimit` wrapper; None where there is none."""
    if environments.spec is not None:
        return environments.spec.max_episode_steps
    env = next(iter(getattr(environments, "envs", ())), None)
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.wrappers.TimeLimit):
            return env._max_episode_steps
        env = env.env
    return None


@contextlib.contextmanager
def without_noise(name: str = "") -> Iterator[None]:
    """A context that suppresses warnings of libraries that users cannot act on, while an environment is made.

    - Gymnasium: that it casts the bounds of a `Box`; that there is a newer version of an environment that someone
      chose on purpose, to compare with published results.
    - MuJoCo 4: that Gymnasium's models set their total mass in an old way. It says so for each environment, on
      standard error and in a file MUJOCO_LOG.TXT.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*precision lowered by casting", UserWarning)
        warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning)
        with _without_mass_warning(name):
            yield


@contextlib.contextmanager
def _without_mass_warning(name: str) -> Iterator[None]:
    spec = gymnasium.registry.get(name)
    if spec is not None and str(spec.entry_point).startswith("gymnasium.envs.mujoco"):
        with contextlib.suppress(ImportError):  # of which making the environment will say more
            importlib.import_module("mujoco")
    mujoco = sys.modules.get("mujoco")
    if mujoco is None or not hasattr(mujoco, "get_mju_user_warning"):
        yield
        return
    others: list[str] = []
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: "settotalmass" in message or others.append(message))
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)
        for message in others:
            warnings.warn(f"MuJoCo: {message}", stacklevel=2)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
