"""What shells are offered, and that the scripts which ask for it run."""

import os
import resource
import shutil
import subprocess
import sys

import pytest
from written_runs import write_run

from steepest.algorithms import ALGORITHMS
from steepest.cli.arguments import arguments_of
from steepest.cli.completion import flags, offers
from steepest.cli.main import COMMANDS, main


def words(*given):
    return [word for word, _ in offers(list(given))]


def test_commands_algorithms_choices_and_names_are_offered():
    assert set(COMMANDS) <= set(words(""))
    assert words("ev") == ["evaluate"]
    assert words("train", "") == sorted(ALGORITHMS)
    assert words("train", "ppo", "--backend", "") == ["auto", "compiled", "envpool", "gymnasium"]
    assert "CartPole-v1" in words("train", "ppo", "--env", "CartP")
    assert words("list", "a") == ["algorithms"]
    assert words("theorems", "--only", "T1", "T10", "T12") == ["T12"]
    assert "n_step" in words("gradients", "--estimators", "")
    assert words("nonsense", "") == words("train", "nonsense", "--") == []


def test_flags_are_offered_once_and_switches_can_be_turned_off():
    assert words("resume", "x", "--total") == ["--total-steps"]
    assert words("resume", "x", "--total-steps", "5", "--total") == []
    assert "--no-preset" in words("train", "ppo", "--no-")
    assert "--clip-radius" in words("train", "ppo", "--clip")
    assert words("train", "a2c", "--clip-r") == []
    assert words("evaluate", "x", "--j") == ["--json"]
    assert words("train", "ppo", "--total-steps", "") == []  # a number that nobody can guess
    assert dict(offers(["train", "ppo", "--clip-radius"]))["--clip-radius"].startswith("How far the ratio may")


def test_every_flag_that_is_offered_is_one_that_the_command_knows():
    """As its help lists them."""
    for name in ("evaluate", "compare", "gradients"):
        found = {each.name for each in flags(arguments_of(COMMANDS[name][1], [])) if not each.positional}
        command = [sys.executable, "-m", "steepest", name, "--help"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for each in found:
            assert each in text


def test_run_directories_are_offered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "one", {0: 1.0})
    write_run(tmp_path / "runs" / "two", {0: 1.0})
    (tmp_path / "runs" / "file").write_text("")
    assert words("evaluate", "") == ["runs/"]
    assert words("evaluate", "runs/") == ["runs/one", "runs/two"]
    assert words("evaluate", "runs/one", "") == []
    assert words("compare", "runs/one", "runs/t") == ["runs/two"]
    assert words("train", "ppo", "--env", "X", "--run-dir", "ru") == ["runs/"]


def test_files_are_offered_where_a_command_takes_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    for name in ("study.toml", "shown.npz", "play.gif", ".hidden.toml"):
        (tmp_path / name).write_text("")
    assert words("sweep", "st") == ["studies/", "study.toml"]
    assert words("sweep", ".h") == [".hidden.toml"]
    assert words("compare", "x", "--normalise", "") == ["studies/", "study.toml"]
    assert words("train", "behaviour_cloning", "--demonstrations", "s") == ["shown.npz", "studies/"]
    assert words("log", "x", "--video", "p") == ["play.gif"]
    assert words("evaluate", "st") == ["studies/"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_one_that_it_reads(shell, tmp_path, capsys):
    assert main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} on this machine to read it")
    assert subprocess.run([shell, "-n", str(script)], capture_output=True).stderr == b""


DRIVEN = {
    "bash": """
source {script}
COMP_WORDS=(steepest {words}) COMP_CWORD={last}
_steepest
printf '%s\\n' "${{COMPREPLY[@]}}"
""",
    # What the completion system would call, and do with it.
    "zsh": """
compdef() {{ }}
_files() {{ print files }}
compadd() {{ print -l -- "${{(@P)@[-1]}}" }}
source {script}
words=(steepest {words}) CURRENT={last}+1
_steepest
""",
    "fish": "source {script}; complete -C 'steepest {words}' | cut -f 1",
}
"""For each shell: what it prints of what may come next."""
LINES = {
    "ev": ["evaluate"],
    "train ppo --backend ": ["auto", "compiled", "envpool", "gymnasium"],
    "evaluate runs/": ["runs/one", "runs/two"],
}


@pytest.mark.parametrize("shell", DRIVEN)
def test_shells_complete_by_it(shell, tmp_path, capsys):
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} on this machine")
    assert main(["completion", shell]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "steepest").write_text(f'#!/bin/sh\nexec {sys.executable} -m steepest "$@"\n')
    (tmp_path / "steepest").chmod(0o755)
    for name in ("one", "two"):
        write_run(tmp_path / "runs" / name, {0: 1.0})
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    for line, expected in LINES.items():
        words = f"{line}''" if line.endswith(" ") and shell != "fish" else line
        given = DRIVEN[shell].format(script=tmp_path / "script", words=words, last=len(line.split(" ")))
        done = subprocess.run([shell, "-c", given], capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.stdout.split() == expected, (line, done.stderr)


def test_bash_completes_by_it_quickly_and_without_jax(tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    steepest = tmp_path / "steepest"
    steepest.write_text(f'#!/bin/bash\nexec {sys.executable} -X importtime -m steepest "$@" 2> {tmp_path}/imported\n')
    steepest.chmod(0o755)
    line = f"""
source {tmp_path}/script
COMP_WORDS=({steepest} train ppo --env CartPole-v) COMP_CWORD=4
_steepest
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert done.stdout.split() == ["CartPole-v0", "CartPole-v1"], done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1
    imported = (tmp_path / "imported").read_text()
    assert "steepest.cli.main" in imported
    assert " jax\n" not in imported
    assert " gymnasium\n" not in imported
