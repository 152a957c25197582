"""With `--json` a command prints one value of strict JSON, and not a word besides: not from a worker either."""

import json
import math

import pytest

from steepest.cli.arguments import arguments_of, print_json
from steepest.cli.completion import flags
from steepest.cli.main import COMMANDS, main

SMALL = ["--num-envs", "2", "--segment-length", "4", "--hidden", "4"]
A2C = ["a2c", "--env", "CartPole-v1", "--no-preset", *SMALL]
STUDY = """
algorithms = ["a2c"]
envs = ["CartPole-v1"]
seeds = 1
total_steps = 32
evaluation_episodes = 2
preset = false
hyper_parameters = { num_envs = 2, segment_length = 4, hidden = [4] }
"""
RUN = "study/runs/a2c-CartPole-v1-seed-0"
TUNE = ["--trials", "2", "--seeds", "1", "--fresh-seeds", "1", "--total-steps", "32", "--which", "rates"]
EXAMPLES = {
    "sweep": ["study.toml", "--out", "study"],
    "train": [*A2C, "--total-steps", "32", "--evaluation-episodes", "2", "--run-dir", "trained"],
    "evaluate": [RUN, "--episodes", "2"],
    "resume": [RUN],
    "demonstrate": [RUN, "--episodes", "2", "--out", "shown.npz"],
    "export": [RUN, "--observations", "10"],
    "record": [RUN, "--episodes", "1", "--out", "play.gif"],
    "compare": [RUN],
    "tune": [*A2C, *TUNE, "--evaluation-episodes", "2", "--processes", "1", "--out", "tuned"],
    "runs": ["study"],
    "info": [RUN],
    "gradients": ["--env", "LinearQuadratic", "--episodes", "2", "--repeats", "2", "--estimators", "n_step"],
    "theorems": ["--only", "T3", "--instances", "1"],
    "list": ["algorithms"],
}
"""Words for each command that takes `--json`, as small as they go. The first makes what the others look at."""


def flags_of(name):
    kind = arguments_of(COMMANDS[name][1], ["ppo", "--env", ""] if name in ("train", "tune") else [])
    assert kind is not None
    return {each.name for each in flags(kind)}


def strictly(text):
    """The one value in a text. **Raises** `ValueError` for anything else, NaN and Infinity among it."""

    def refuse(word):
        raise ValueError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    path = tmp_path_factory.mktemp("json")
    (path / "study.toml").write_text(STUDY)
    return path


def test_no_command_is_forgotten():
    assert set(EXAMPLES) == {name for name in COMMANDS if "--json" in flags_of(name)}


@pytest.mark.parametrize("name", EXAMPLES)
def test_one_json_value_is_all_that_is_printed(name, place, capfd, monkeypatch):
    monkeypatch.chdir(place)
    quiet = ["--quiet"] if "--quiet" in flags_of(name) else []
    assert main([name, *EXAMPLES[name], "--json", *quiet]) == 0
    out, err = capfd.readouterr()
    assert strictly(out)
    assert out.count("\n") == 1
    assert not quiet or err == ""


def test_json_has_no_number_that_is_not_finite(capsys):
    print_json({"worst": [math.inf, -math.inf, (math.nan, 1.5)], "why": "inf"})
    assert strictly(capsys.readouterr().out) == {"worst": [None, None, [None, 1.5]], "why": "inf"}
