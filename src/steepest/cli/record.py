"""`steepest record` and `steepest watch`: see what the policy of a run does."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from steepest.cli.arguments import parse, print_json, say
from steepest.cli.commands import Whole
from steepest.core import interrupts
from steepest.experiments.configuration import RunConfiguration, check_episodes, read_configuration
from steepest.runs.directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class Record:
    """Record whole episodes of the policy of a run, with its return so far in the corner."""

    run: tyro.conf.Positional[pathlib.Path]
    """A run directory."""
    episodes: int | None = None
    """How many; 3 when left out, and 1 of every checkpoint with --through-training."""
    out: pathlib.Path | None = None
    """The file: .gif or .mp4. When left out, play.mp4 in the run directory where the extra video is installed, else
    play.gif; training.mp4 or training.gif with --through-training."""
    seed: int | None = None
    """Which of the run's seeds; the first when left out."""
    through_training: bool = False
    """Let all checkpoints play that are kept, one after the other, from the same start. steepest train --keep-every
    keeps more than two."""
    stochastic: bool = False
    """Draw actions as in training, instead of taking the best guess."""
    episode_seed: int = 0
    """Of the episodes; another one brings other episodes."""
    max_episode_steps: Whole | None = None
    """A time limit, where the environment's own is not shorter; 1,000 where there is neither."""
    fps: float | None = None
    """Steps that are shown in a second; the environment's own when left out."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object."""


def record(words: Sequence[str]) -> int:
    """`steepest record RUN …`."""
    given = parse(Record, words, program="steepest record")
    config = _checked(given)

    from steepest.video.filming import record as record_run

    try:
        made = record_run(given.run, out=given.out, progress=True, **_of_episodes(given))
    except KeyboardInterrupt:  # it has said so
        return interrupts.status()
    if given.as_json:
        print_json(made.describe())
        return 0
    from steepest.video.playing import in_words

    if given.through_training and len({each.trained_steps for each in made.episodes}) <= 2 and not config.keep_every:
        say(
            "a run keeps its newest two checkpoints; steepest train --keep-every 10000 keeps one for every 10,000 steps"
        )
    for number, each in enumerate(made.episodes, 1):
        after = f"after {each.trained_steps:,} steps of training, " if given.through_training else ""
        print(f"episode {number}: {after}return {in_words(each.episode_return)}, {each.length:,} steps, {each.ended}")
    print(made.path)
    return 0


@dataclasses.dataclass(frozen=True)
class Watch:
    """Watch the policy of a run at play, in a window."""

    run: tyro.conf.Positional[pathlib.Path]
    """A run directory."""
    episodes: int | None = None
    """How many; until the window is closed when left out, and 1 of every checkpoint with --through-training."""
    seed: int | None = None
    """Which of the run's seeds; the first when left out."""
    through_training: bool = False
    """Let all checkpoints play that are kept, one after the other, from the same start."""
    stochastic: bool = False
    """Draw actions as in training, instead of taking the best guess."""
    episode_seed: int = 0
    """Of the episodes; another one brings other episodes."""
    max_episode_steps: Whole | None = None
    """A time limit, where the environment's own is not shorter; 1,000 where there is neither."""
    fps: float | None = None
    """Steps that are shown in a second; the environment's own when left out."""


def watch(words: Sequence[str]) -> int:
    """`steepest watch RUN …`."""
    given = parse(Watch, words, program="steepest watch")
    _checked(given)

    from steepest.video.watching import watch as watch_run

    watch_run(given.run, **_of_episodes(given))
    return 0


def _checked(given: Record | Watch) -> RunConfiguration:
    """The configuration of the run. **Raises** `InputError` for what can be known to be wrong without JAX."""
    if given.episodes is not None:
        check_episodes("episodes", given.episodes)
    return read_configuration(RunDirectory.existing(given.run))


def _of_episodes(given: Record | Watch) -> dict[str, Any]:
    """What both commands are told of the episodes to play."""
    return {each.name: getattr(given, each.name) for each in dataclasses.fields(Watch) if each.name != "run"}
