"""Where Gymnasium's environments say which actions are allowed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import gymnasium
import numpy as np

from steepest.core.errors import EnvironmentFault
from steepest.core.spaces import Dict, Discrete, Mask, Masked, MultiBinary, MultiDiscrete, Space

OBSERVATION = {"observation", "action_mask"}
"""The entries of an observation that brings its mask along: the convention of PettingZoo."""


@dataclasses.dataclass(frozen=True)
class MaskSource:
    """Where an environment's action mask is found.

    - `kind`: in an entry `action_mask` of the observation, from a method `action_masks()`, or in an entry
      `action_mask` of the info that `reset` and `step` return.
    """

    kind: Literal["observation", "method", "info"]

    def space(self, observation: Space, action: Space) -> Masked:
        """The observation space, with a mask. **Raises** `InputError` where actions are no choices."""
        if self.kind == "observation":
            assert isinstance(observation, Dict)
            observation = dict(observation.spaces)["observation"]
        return Masked(observation, Mask.of(action))

    def __call__(self, env: gymnasium.Env, obs: Any, info: Any, size: int, *, over: bool) -> tuple[Any, np.ndarray]:
        """The observation without its mask, and the mask, laid flat.

        **Arguments**

        - `size`: how many choices there are.
        - `over`: whether the episode has terminated. Nothing is chosen any more, so the mask says that all is allowed,
          whatever the environment says.

        **Raises** `EnvironmentFault` where there is no mask.
        """
        if over:
            seen = obs["observation"] if self.kind == "observation" and isinstance(obs, Mapping) else obs
            return seen, np.ones(size, bool)
        if self.kind == "method":
            return obs, _flat(env.get_wrapper_attr("action_masks")())
        given = obs if self.kind == "observation" else info
        if not isinstance(given, Mapping) or "action_mask" not in given:
            raise EnvironmentFault(
                f"{type(env.unwrapped).__name__}: the {self.kind} has no action_mask, though the one before had. "
                "Correct the environment, or leave masks out with --action-masks False (action_masks=False in Python)."
            )
        return (obs["observation"] if self.kind == "observation" else obs), _flat(given["action_mask"])


def _flat(mask: object) -> np.ndarray:
    """A mask in a line: an array, or as Gymnasium has them for several choices, an array for each."""
    parts = mask if isinstance(mask, tuple | list) else [mask]
    return np.concatenate([np.ravel(np.asarray(part)) for part in parts])


def mask_source(env: gymnasium.Env, observation: Space, action: Space) -> MaskSource | None:
    """Where an environment's masks are found; None where it has none. The environment is reset to see it."""
    if isinstance(observation, Dict) and {name for name, _ in observation.spaces} == OBSERVATION:
        return MaskSource("observation")
    if not isinstance(action, Discrete | MultiDiscrete | MultiBinary):
        return None
    if env.has_wrapper_attr("action_masks"):
        return MaskSource("method")
    try:
        _, info = env.reset(seed=0)
    except Exception:  # what is wrong is said where it is reset in earnest
        return None
    return MaskSource("info") if isinstance(info, Mapping) and "action_mask" in info else None
