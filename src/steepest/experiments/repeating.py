"""The command that repeats a run."""

from __future__ import annotations

import json
import pathlib
import shlex
from collections.abc import Iterator

from steepest.core.validation import describe
from steepest.experiments.configuration import OWN, RunConfiguration, algorithm_class, tuned


def repeating_command(config: RunConfiguration, run: pathlib.Path | None = None) -> str:
    """What to type in order to repeat a run; where no command can, a sentence that says how to.

    Values that are the defaults are left out, except for what defaults may become in another version: the steps, the
    seeds, and who runs the environment.

    **Arguments**

    - `run`: where the run lies, if it learnt from demonstrations: it has a copy of them.

    """
    if config.algorithm == OWN:
        return f"from Python: steepest.train(…, {config.env!r}, …) with the algorithm that was your own"
    if not config.importable:
        return f"from Python: steepest.train({config.algorithm!r}, …) with the environment that was your own"
    first = config.history()[-1]
    groups = list(_consecutive(config.seeds))
    commands = [_train(first, seeds, run) for seeds in groups]
    if len(config.earlier) and len(groups) == 1:
        restarts = " --restart-schedules" if config.schedules_begin else ""
        longer = [each.total_steps for each in reversed(config.history()[:-1])]
        commands += [f"steepest resume RUN --total-steps {steps}{restarts}" for steps in longer]
    return " && ".join(commands)


def _consecutive(seeds: tuple[int, ...]) -> Iterator[list[int]]:
    """Seeds in groups of numbers that follow each other: the command takes the first, and how many."""
    group: list[int] = []
    for seed in sorted(seeds):
        if group and seed != group[-1] + 1:
            yield group
            group = []
        group.append(seed)
    yield group


def _train(config: RunConfiguration, seeds: list[int], run: pathlib.Path | None) -> str:
    words = ["steepest", "train", config.algorithm, "--env", config.env, "--backend", config.backend]
    words += ["--total-steps", str(config.total_steps), "--seed", str(seeds[0]), "--seeds", str(len(seeds))]
    words += [] if config.preset else ["--no-preset"]
    for name, value in differences(config).items():
        words += _flag(name, value)
    for name, value in zip(("action-low", "action-high"), config.action_bounds, strict=True):
        words += [] if value is None else [f"--{name}", str(value)]
    if config.env_kwargs:
        words += ["--env-kwargs", json.dumps(config.env_kwargs)]
    for name in ("max_episode_steps", "evaluation_steps"):
        value = getattr(config, name)
        words += [] if value is None else _flag(name, value)
    words += ["--evaluation-episodes", str(config.evaluation_episodes)]
    words += _flag("evaluation_every", config.evaluation_every) if config.evaluation_every else []
    if config.demonstrations is not None:
        copy = "RUN/demonstrations.safetensors" if run is None else str(run / "demonstrations.safetensors")
        words += ["--demonstrations", copy]
    return shlex.join(words)


def _flag(name: str, value: object) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    if isinstance(value, tuple):
        return [f"--{flag}", *map(str, value)]
    return [f"--{flag}", str(value)]


def differences(config: RunConfiguration) -> dict[str, object]:
    """The hyper-parameters that are not the defaults: those of the paper, or what was tuned for the environment."""
    if config.algorithm == OWN:
        return {}
    kind = algorithm_class(config.algorithm)
    start = tuned(config.algorithm, config.env) if config.preset else kind()
    given = config.parameters()
    pairs = {each.name: (getattr(start, each.name), getattr(given, each.name)) for each in describe(kind)}
    return {name: value for name, (default, value) in pairs.items() if value != default}
