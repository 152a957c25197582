"""What holds for every command: help, one JSON value where there are numbers, nothing else in the way, no colour."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from steepest.cli.arguments import arguments_of
from steepest.cli.completion import flags
from steepest.cli.main import COMMANDS, main

WITHOUT_NUMBERS = {"plot", "completion", "record", "watch", "log"}
"""Commands that make a file, or a window, and tell no number."""
WORDS = {name: ["ppo", "--env", ""] for name in ("train", "tune")}
SMALL = ["--num-envs", "4", "--segment-length", "32", "--minibatch-size", "32", "--epochs", "1", "--hidden", "8"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    try:
        status = main([name, "--help"])
    except SystemExit as stop:
        status = stop.code
    assert not status
    assert f"usage: steepest {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT_NUMBERS))
def test_every_command_with_numbers_takes_json(name):
    kind = arguments_of(COMMANDS[name][1], WORDS.get(name, []))
    assert "--json" in {each.name for each in flags(kind)}


def test_json_is_all_that_goes_to_the_output_and_quiet_says_nothing(tmp_path, capsys):
    run, file = str(tmp_path / "run"), str(tmp_path / "shown.npz")

    def printed(*words):
        assert main(list(words)) == 0
        out, err = capsys.readouterr()
        return json.loads(out), err

    start = ["train", "ppo", "--env", "CartPole-v1", *SMALL, "--no-preset", "--evaluation-episodes", "2"]
    trained, said = printed(*start, "--total-steps", "512", "--run-dir", run, "--json", "--quiet")
    assert (trained["run"], trained["finished"], trained["episodes"]) == (run, True, 2)
    assert said == ""
    resumed, said = printed("resume", run, "--json")
    assert resumed == trained
    assert "kept in" in said or "going on with" in said
    evaluated, said = printed("evaluate", run, "--episodes", "2", "--json", "--quiet")
    assert evaluated["iqm"] == trained["iqm"]
    assert said == ""
    shown, said = printed("demonstrate", run, "--episodes", "2", "--out", file, "--json", "--quiet")
    assert (shown["file"], shown["episodes"], said) == (file, 2, "")
    assert shown["mean_return"] == shown["transitions"] / 2
    assert main(["resume", run, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert "mean return" in out
    assert err == ""
    for what in ("algorithms", "estimators"):
        found, said = printed("list", what, "--json")
        assert len(found) > 5
        assert said == ""
    assert printed("list", "envs", "cartpole", "--json")[0]["compiled"] == ["CartPole-v1", "MaskedCartPole-v0"]


def output(words, variables):
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-m", "steepest", *words]
    subprocess.run(command, stdout=theirs, stderr=theirs, env=environment | {"TERM": "xterm-256color"} | variables)
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 1 << 16):
            text += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return text.decode()


COLOUR = re.compile(r"\x1b\[[0-9;]*\b(3[0-7]|9[0-7]|38;[25])[0-9;]*m")


def test_colours_are_off_when_they_are_not_wanted(tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "config.json").write_text('{"algorithm": "ppo", "seeds_per_process": []}')
    words = ["runs", str(tmp_path)]
    assert COLOUR.search(output(words, {}))
    assert not COLOUR.search(output(words, {"NO_COLOR": "1"}))
    assert not COLOUR.search(output(["runs", "--help"], {"NO_COLOR": "1"}))
    command = [sys.executable, "-m", "steepest", *words]
    assert "\x1b" not in subprocess.run(command, capture_output=True, text=True, check=True).stdout
