"""The adapter of Gymnasium's environments: each is stepped by itself, in this process."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Bool, Int, UInt8

from steepest.core.conversion import to_environment
from steepest.core.errors import EnvironmentFault
from steepest.core.spaces import Dict, Masked, MaskedObservation, Space, Tuple, map_leaves
from steepest.core.types import PyTree
from steepest.envs.adapters.faults import RETURNS, in_words, one_line, raised
from steepest.envs.adapters.gymnasium_spaces import Bounds, from_gymnasium
from steepest.envs.adapters.masks import MaskSource, mask_source
from steepest.envs.adapters.rendering import frames_per_second, picture_of
from steepest.envs.adapters.vector import AbstractVectorEnvironment, Step, checked_observation, checked_reward, replaced

LARGEST_SEED = 2**31 - 1
"""Larger seeds are refused by some environments, which draw with 32-bit integers that have a sign."""


class SeparateEnvironments(AbstractVectorEnvironment):
    """A vector environment of N Gymnasium environments, stepped one after the other.

    Nothing is asked of them but what is needed: infos are read for masks, and `reset` gets no options. No step is lost
    to a reset, and the last observation of an episode is copied before an environment that keeps it in one place can
    overwrite it. One that has played its episodes rests: it is not stepped.

    **Arguments**

    - `environments`: which have the same spaces.
    - `name`: of the environment, in messages.
    - `seed`: of the first reset; the seed of every environment is derived from it.
    - `action_bounds`: to use where the action space has none.
    - `masks`: where the environments' action masks are found; None for none.
    """

    def __init__(
        self,
        environments: Sequence[gymnasium.Env],
        *,
        name: str,
        seed: int,
        action_bounds: Bounds = (None, None),
        masks: MaskSource | None = None,
    ):
        self.id, self.library = name, f"gymnasium {gymnasium.__version__}"
        self.num_envs, self._environments = len(environments), environments
        first = environments[0]
        self.observation_space = from_gymnasium("observation", getattr(first, "observation_space", None))
        self.action_space = from_gymnasium("action", getattr(first, "action_space", None), action_bounds)
        self._mask_source = masks
        if masks is not None:
            self.observation_space = masks.space(self.observation_space, self.action_space)
        self.max_episode_steps = _time_limit(first)
        self._seeds: list[int | None]
        self.begin_again(seed)
        self._elapsed = np.zeros(self.num_envs, int)
        self._left: np.ndarray | None = None

    def reset(self, episodes: Int[np.ndarray, " N"] | None = None) -> PyTree:
        """Begin an episode in every environment, seeded the first time only."""
        self._left = None if episodes is None else episodes.copy()
        self._obs = self._observed([self._reset(index) for index in range(self.num_envs)], np.arange(self.num_envs))
        return self._obs

    def send(self, action: PyTree) -> None:
        """Keep the actions for `receive`."""
        self._action = to_environment(self.action_space, action)

    def receive(self) -> Step:
        """Step every environment that does not rest, and begin the next episode where one has ended."""
        valid = np.ones(self.num_envs, bool) if self._left is None else self._left > 0
        active = np.flatnonzero(valid)
        observed, reward = [], np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        for index in active.tolist():
            obs, reward[index], terminated[index], truncated[index] = self._step(index)
            observed.append(obs)
        next_obs = replaced(self.observation_space, self._obs, active, self._observed(observed, active))
        checked = checked_reward(self.id, reward, self.num_envs)
        again = self._ended(terminated | truncated)
        self._obs = next_obs
        if again.size:
            begun = self._observed([self._reset(index) for index in again.tolist()], again)
            self._obs = replaced(self.observation_space, next_obs, again, begun)
        return Step(self._obs, next_obs, checked, terminated, truncated, valid)

    def begin_again(self, seed: int) -> None:
        """Let the next reset begin the episodes that the first one began with this seed."""
        self._seeds = (np.random.SeedSequence(seed).generate_state(self.num_envs) & LARGEST_SEED).tolist()

    def picture(self, action: PyTree) -> UInt8[np.ndarray, "height width 3"]:
        """What the first environment looks like after an action, which policies numbered; None before the first."""
        return picture_of(self.id, self._environments[0], action)

    @property
    def render_fps(self) -> float:
        """Steps that are shown in a second."""
        return frames_per_second(self._environments[0])

    def find_masks(self) -> MaskSource | None:
        """Where the environments' action masks are found; None where they have none. One of them is reset for it."""
        return mask_source(self._environments[0], self.observation_space, self.action_space)

    def close(self) -> None:
        """Close every environment. One that raises is warned of: what was learnt in it stands."""
        for env in self._environments:
            try:
                env.close()
            except Exception as error:
                warnings.warn(
                    f"{self.id}: close raised {type(error).__name__}: {one_line(error)}. The results are not affected.",
                    RuntimeWarning,
                    stacklevel=2,
                )

    def _ended(self, ended: Bool[np.ndarray, " N"]) -> Int[np.ndarray, " M"]:
        """Which environments begin another episode."""
        if self._left is not None:
            self._left[ended] -= 1
            ended = ended & (self._left > 0)
        return np.flatnonzero(ended)

    def _observed(self, raw: Sequence[PyTree], which: Int[np.ndarray, " M"]) -> PyTree:
        if not raw:
            return map_leaves(lambda _, kept: kept[which], self.observation_space, self._obs)
        stacked = map_leaves(lambda _, *each: np.stack(each), self.observation_space, *raw)
        return checked_observation(self.id, self.observation_space, stacked, which, self._elapsed[which])

    def _reset(self, index: int) -> PyTree:
        # Given again, a seed would bring the same episode again. Without one the environment goes on drawing.
        seed, self._seeds[index], self._elapsed[index] = self._seeds[index], None, 0
        try:
            answer = self._environments[index].reset(seed=seed)
        except Exception as error:
            raise raised(self.id, error, f"in reset of environment {index}") from error
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise EnvironmentFault(f"{self.id}: reset returned {_kind(answer)}. {RETURNS['reset']}")
        return self._seen(index, *answer)

    def _step(self, index: int) -> tuple[PyTree, float, bool, bool]:
        self._elapsed[index] += 1
        try:
            answer = self._environments[index].step(self._chosen(index))
        except Exception as error:
            raise raised(self.id, error, self._during(index)) from error
        if not (isinstance(answer, tuple) and len(answer) == 5):
            raise EnvironmentFault(f"{self.id}: step returned {_kind(answer)}. {RETURNS['step']}")
        obs, reward, terminated, truncated, info = answer
        # Nearly always they are what they must be.
        reward = reward if isinstance(reward, float) else self._single(index, "reward", reward, float)
        terminated = terminated if isinstance(terminated, bool) else self._single(index, "terminated", terminated, bool)
        truncated = truncated if isinstance(truncated, bool) else self._single(index, "truncated", truncated, bool)
        return self._seen(index, obs, info, over=terminated), reward, terminated, truncated

    def _during(self, index: int) -> str:
        action = self._chosen(index)
        words = str(action) if isinstance(action, dict | tuple) else in_words(np.asarray(action))
        return f"in step {self._elapsed[index]} of an episode of environment {index}, with action {words}"

    def _chosen(self, index: int) -> PyTree:
        """The action of one environment."""
        return map_leaves(lambda _, action: action[index], self.action_space, self._action)

    def _single(self, index: int, name: str, value: Any, kind: type) -> Any:
        """A value as the one number that it must be."""
        array = _as_array(value)
        if array.shape == () and array.dtype.kind in "biuf":
            return kind(array)
        what = "True or False" if kind is bool else "one number"
        shape = f" of shape {np.shape(value)}" if isinstance(value, np.ndarray) else ""
        raise EnvironmentFault(
            f"{self.id}: {name} is {' '.join(repr(value).split())[:80]}{shape}, {self._during(index)}; it must be "
            f"{what}. Correct the environment: step must return {kind.__name__}(…)."
        )

    def _seen(self, index: int, obs: PyTree, info: Any, *, over: bool = False) -> PyTree:
        """A copy of an observation of the right shape, with the mask where there is one."""
        space = self.observation_space
        if not isinstance(space, Masked):
            return self._copied(index, space, obs, "observation")
        assert self._mask_source is not None
        source, size = self._environments[index], space.mask.shape[0]
        obs, mask = self._mask_source(source, obs, info, size, over=over)
        return MaskedObservation(self._copied(index, space.observation, obs, "observation"), mask)

    def _copied(self, index: int, space: Space, obs: PyTree, label: str) -> PyTree:
        match space:
            case Dict(spaces=pairs):
                if not isinstance(obs, Mapping) or {name for name, _ in pairs} - set(obs):
                    raise self._misshapen(index, label, obs, f"a dictionary of {', '.join(name for name, _ in pairs)}")
                return {name: self._copied(index, each, obs[name], f"{label}[{name!r}]") for name, each in pairs}
            case Tuple(spaces=spaces):
                if not isinstance(obs, Sequence) or len(obs) != len(spaces):
                    raise self._misshapen(index, label, obs, f"a tuple of {len(spaces)}")
                parts = enumerate(zip(spaces, obs, strict=True))
                return tuple(self._copied(index, each, part, f"{label}[{place}]") for place, (each, part) in parts)
        assert not isinstance(space, Masked)
        array = _as_array(obs)
        if array.shape != space.shape:
            raise self._misshapen(index, label, obs, str(space.shape))
        return array

    def _misshapen(self, index: int, label: str, obs: PyTree, wanted: str) -> EnvironmentFault:
        shape = () if isinstance(obs, Mapping) else _as_array(obs).shape
        found = f"shape {shape}" if shape else f"type {type(obs).__name__}"
        return EnvironmentFault(
            f"{self.id}: an {label} of environment {index} has {found}; its space says {wanted}. Correct the "
            "environment."
        )


def _as_array(given: Any) -> np.ndarray:
    try:
        return np.array(given)
    except ValueError:  # rows of different lengths
        return np.array(None)


def _kind(answer: object) -> str:
    return f"{len(answer)} values" if isinstance(answer, tuple) else f"a {type(answer).__name__}"


def _time_limit(env: gymnasium.Env) -> int | None:
    """The time limit, from the shortest of the `TimeLimit` wrappers; None where there is none."""
    limits = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.wrappers.TimeLimit):
            limits.append(env._max_episode_steps)
        env = env.env
    return min(limits, default=None)
