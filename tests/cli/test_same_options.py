"""A command and the function of the same name have the same options, with the same defaults."""

import dataclasses
import inspect
import pathlib

import pytest

import steepest
from steepest.cli import commands, compare, demonstrate, export, log, record, sweep, tune

OBJECTS = {"algorithm", "env", "listeners", "progress", "as_json", "quiet"}
"""What has no words on a command line, or says how results are shown there."""
COMMANDS = {
    "train": (commands.TrainOnDemonstrations, {"compilation_cache"}, {"hyper"}),
    "evaluate": (commands.Evaluate, set(), set()),
    "resume": (commands.Resume, set(), set()),
    "plot": (commands.Plot, set(), set()),
    "demonstrate": (demonstrate.Demonstrate, set(), set()),
    "record": (record.Record, set(), set()),
    "watch": (record.Watch, set(), set()),
    "log": (log.Log, set(), set()),
    "export": (export.Export, set(), set()),
    "sweep": (sweep.Sweep, set(), set()),
    "compare": (compare.Compare, set(), set()),
    "tune": (tune.Tune, set(), {"hyper"}),
}
"""For each: the dataclass of its flags, what only the command line needs, and what only Python does."""


def plain(default):
    """A default as both can have it: what is required has none, and there is more than one way to leave out."""
    if default in (dataclasses.MISSING, inspect.Parameter.empty, None, "", {}, pathlib.Path()):
        return None
    return str(default) if isinstance(default, pathlib.Path) else default


def flags(kind):
    fields = {each.name: each for each in dataclasses.fields(kind)}
    return {
        name: plain({} if each.default_factory is not dataclasses.MISSING else each.default)
        for name, each in fields.items()
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_its_function_have_the_same_options(name):
    kind, only_words, only_python = COMMANDS[name]
    parameters = inspect.signature(inspect.unwrap(getattr(steepest, name))).parameters
    ours = {each: plain(parameter.default) for each, parameter in parameters.items()}
    theirs = flags(kind)
    python = {each: default for each, default in ours.items() if each not in OBJECTS | only_python}
    words = {each: default for each, default in theirs.items() if each not in OBJECTS | only_words}
    assert python == words


def test_every_command_that_is_a_function_too_is_compared():
    from steepest.cli.main import COMMANDS as KNOWN

    assert {name for name in KNOWN if name in steepest.__all__} <= set(COMMANDS)
