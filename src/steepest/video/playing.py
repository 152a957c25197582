"""Whole episodes of a policy on a stage, step by step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import jax
import numpy as np

from steepest.core.validation import check_number, converted, whole_number
from steepest.experiments.configuration import check_episodes
from steepest.experiments.evaluating import UNENDING
from steepest.experiments.trained import TrainedPolicy
from steepest.video.stage import AbstractStage

_ACTING = 2**31 - 1
"""Folded into the key of an episode for its actions, where the environment's steps are folded in otherwise."""


@dataclasses.dataclass(frozen=True)
class Moment:
    """Where an episode is, after so many steps.

    - `episode`: its number, from 1; `steps`: made in it so far.
    - `earned`: its undiscounted return so far.
    - `trained`: steps of training of the policy that plays.
    - `ended`: how the episode ended with this step: `terminated`, at its `time limit`, or `cut` before either; else "".
    """

    episode: int
    steps: int
    earned: float
    trained: int | None
    ended: str = ""


def play(
    stage: AbstractStage,
    policy: TrainedPolicy,
    *,
    episodes: int | None,
    limit: int | None,
    stochastic: bool,
    episode_seed: int,
    first: int = 1,
) -> Iterator[Moment]:
    """Play episodes; between two moments the stage can be looked at.

    **Arguments**

    - `episodes`: how many; None for ever.
    - `limit`: steps after which an episode is cut.
    - `first`: the number of the first episode.
    """
    number = 0
    while episodes is None or number < episodes:
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(episode_seed), number), _ACTING)
        policy.reset()
        obs, moment = stage.reset(), Moment(first + number, 0, 0.0, policy.steps)
        yield moment
        while not moment.ended:
            action = policy.choose(obs, jax.random.fold_in(key, moment.steps) if stochastic else None)
            seen = stage.step(action)
            obs, steps = seen.obs, moment.steps + 1
            cut = limit is not None and steps >= limit
            ended = "terminated" if seen.terminated else "time limit" if seen.truncated else "cut" if cut else ""
            moment = dataclasses.replace(moment, steps=steps, earned=moment.earned + seen.reward, ended=ended)
            yield moment
        number += 1


@dataclasses.dataclass(frozen=True)
class Options:
    """How a policy is to be seen; see `record`."""

    episodes: int | None
    episode_seed: int
    max_episode_steps: int | None
    fps: float | None
    through_training: bool
    stochastic: bool

    @classmethod
    def checked(
        cls,
        episodes: object,
        episode_seed: object,
        max_episode_steps: object,
        fps: object,
        through_training: object,
        stochastic: object,
    ) -> Options:
        """The options. **Raises** `InputError` for the first that cannot be meant."""
        pace = converted("fps", fps, float | None, "30, say.")
        check_number("fps", pace, above=0, at_most=1000, remedy="Leave it out for the environment's own.")
        limit = converted("max_episode_steps", max_episode_steps, int | None, "1000, say.")
        check_number("max_episode_steps", limit, at_least=1, at_most=10**9, whole=True, remedy="1000, say.")
        return cls(
            None if episodes is None else check_episodes("episodes", episodes),
            whole_number("episode_seed", episode_seed, at_least=0, at_most=2**31 - 1, remedy="0, say."),
            limit,
            pace,
            converted("through_training", through_training, bool, ""),
            converted("stochastic", stochastic, bool, ""),
        )

    def limit(self, own: int | None) -> int | None:
        """Steps after which an episode is cut; None where its own time limit comes first."""
        if own is None:
            return self.max_episode_steps or UNENDING
        return self.max_episode_steps if (self.max_episode_steps or own) < own else None


def moments(
    stage: AbstractStage, policies: Iterable[TrainedPolicy], given: Options, episodes: int | None
) -> Iterator[tuple[TrainedPolicy, Moment]]:
    """Every step of every episode, policy after policy; each of them plays the same episodes."""
    played = 0
    for policy in policies:
        stage.begin_again()
        found = play(
            stage,
            policy,
            episodes=episodes,
            limit=given.limit(policy.spec.max_episode_steps),
            stochastic=given.stochastic,
            episode_seed=given.episode_seed,
            first=played + 1,
        )
        for moment in found:
            played = moment.episode
            yield policy, moment


def words(policy: TrainedPolicy, moment: Moment, *, total: int | None = None) -> list[str]:
    """What stands in the corner of a picture: who plays, how long it has trained, and how the episode goes.

    **Arguments**

    - `total`: steps of training of the newest checkpoint, where others play too.
    """
    config = policy.config
    lines = [f"{config.env} · {config.algorithm}, seed {policy.seed}"]
    if total is not None and moment.trained is not None:
        lines.append(f"after {moment.trained:,} of {total:,} steps")
    ended = f" · {moment.ended}" if moment.ended else ""
    return [*lines, f"step {moment.steps:,} · return {in_words(moment.earned)}{ended}"]


def in_words(earned: float) -> str:
    """A return with one digit after the point."""
    return f"{np.round(earned, 1) + 0.0:,.1f}".replace("-", "−")
