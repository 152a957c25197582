"""The command that repeats a run asks for what the run was."""

import dataclasses
import shlex

import pytest
from written_runs import configuration

from steepest.algorithms import ALGORITHMS
from steepest.cli.arguments import parse
from steepest.cli.commands import Train, _train_with
from steepest.core.validation import describe
from steepest.experiments.configuration import tuned
from steepest.experiments.repeating import repeating_command


def read(command):
    """What `steepest train` makes of a command."""
    program, verb, name, *words = shlex.split(command)
    assert (program, verb) == ("steepest", "train")
    env = words[words.index("--env") + 1]
    kind = ALGORITHMS[name]
    start = kind() if "--no-preset" in words else tuned(name, env)
    return parse(_train_with(kind), words, program="steepest", default=Train(start, env))


def changed(kind):
    """Hyper-parameters that differ from the defaults wherever another value is allowed."""
    found = kind()
    for each in describe(kind):
        value = getattr(found, each.name)
        others = [choice for choice in each.choices if choice != value]
        match value:
            case bool():
                others = [not value]
            case int() | float():
                others = [value / 2, value * 2, 0.5, 2, float("inf")]
            case tuple():
                others = [(*value, 16), (8,)]
            case None:
                others = [0.125, 2, "x", (3,)]
        for other in others:
            try:
                found = dataclasses.replace(found, **{each.name: other})
                break
            except Exception:
                continue
    return found


@pytest.mark.parametrize("name", ALGORITHMS)
def test_all_hyper_parameters_come_back(name):
    hyper = changed(ALGORITHMS[name])
    told = {"origin": "x", "transitions": 5, "episodes": 1, "sha256": "0"} if hyper.demonstrated else None
    for preset in (True, False):
        config = configuration(
            name, hyper=vars(hyper), preset=preset, seeds=(5, 6), demonstrations=told, max_episode_steps=77
        )
        given = read(repeating_command(config))
        assert given.algorithm == hyper
        assert (given.seed, given.seeds, given.total_steps, given.backend) == (5, 2, config.total_steps, "compiled")
        assert (given.max_episode_steps, given.preset) == (77, preset)


def test_words_for_the_shell_are_quoted():
    config = configuration(env="my env; rm -rf", env_kwargs={"a": "b'c"}, action_bounds=(-1.0, None))
    given = read(repeating_command(config))
    assert (given.env, given.env_kwargs, given.action_low) == ("my env; rm -rf", {"a": "b'c"}, -1.0)


def test_what_no_command_can_repeat_is_said():
    assert repeating_command(configuration(importable=False)).startswith("from Python")
    longer = configuration(earlier=({"total_steps": 5000, "schedules_begin": 0, "description": None},))
    assert repeating_command(longer).endswith("&& steepest resume RUN --total-steps 20000")
    apart = configuration(seeds=(0, 1, 5))
    assert repeating_command(apart).count("steepest train") == 2
