"""`steepest demonstrate`: let the policy of a run play, and write down what it did."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Annotated

import tyro

from steepest.cli.arguments import parse, print_json, program, say
from steepest.core.errors import InputError
from steepest.experiments.configuration import check_episodes
from steepest.runs.directory import RunDirectory

_SUFFIXES = (".safetensors", ".npz")


@dataclasses.dataclass(frozen=True)
class Demonstrate:
    """Let the policy of a run play whole episodes in its environment, and write observations and actions to a file."""

    run: tyro.conf.Positional[pathlib.Path]
    """A run directory."""
    out: Annotated[pathlib.Path, tyro.conf.arg(help_behavior_hint="(required)")] = pathlib.Path()
    """The file: .safetensors or .npz."""
    episodes: int = 20
    """How many."""
    stochastic: bool = False
    """Draw actions as in training, instead of taking the best guess."""
    seed: int | None = None
    """Which of the run's seeds; the first when left out."""
    episode_seed: int = 0
    """Of the episodes; another one brings other episodes."""
    max_episode_steps: int | None = None
    """A time limit, where the environment's own is not shorter."""
    quiet: bool = False
    """Say nothing but results, warnings and errors."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object."""


def demonstrate(words: Sequence[str]) -> int:
    """`steepest demonstrate RUN --out FILE …`."""
    given = parse(Demonstrate, words, program="steepest demonstrate")
    if given.out == pathlib.Path():
        raise InputError(f"--out is missing; give a file that ends in {' or '.join(_SUFFIXES)}.")
    if given.out.suffix not in _SUFFIXES:
        raise InputError(f"--out is {str(given.out)!r}; give a file that ends in {' or '.join(_SUFFIXES)}.")
    check_episodes("episodes", given.episodes)
    RunDirectory.existing(given.run)

    from steepest.experiments.recording import demonstrations_of
    from steepest.experiments.trained import load

    expert = load(given.run, given.seed)
    recorded, returns = demonstrations_of(
        expert,
        expert.task,
        episodes=given.episodes,
        stochastic=given.stochastic,
        episode_seed=given.episode_seed,
        max_episode_steps=given.max_episode_steps,
        out=given.out,
    )
    env = expert.config.env
    if given.as_json:
        found = {"file": str(given.out), "env": env, "seed": expert.seed, "episodes": given.episodes}
        numbers = {"mean_return": float(returns.mean()), "std_return": float(returns.std())}
        print_json(found | {"transitions": len(recorded)} | numbers)
    if given.quiet:
        return 0
    say(
        f"{given.out}: {len(recorded):,} transitions of {given.episodes} episodes of {env}, mean return "
        f"{returns.mean():.1f} ± {returns.std():.1f}"
    )
    say(f"Next:\n  {program()} train behaviour_cloning --env {env} --demonstrations {given.out}")
    return 0
