"""The command line: what it prints, how it exits, and that wrong words get one clear line."""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys

import jax
import pytest

import steepest
from steepest.cli.main import COMMANDS, main

SMALL = ["--num-envs", "4", "--segment-length", "32", "--minibatch-size", "32", "--epochs", "1", "--hidden", "8"]
TRAIN = ["train", "ppo", "--env", "CartPole-v1"]
LONG = "x" * 5000


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "run"
    status = main([*TRAIN, *SMALL, "--no-preset", "--total-steps", "512", "--run-dir", str(path)])
    assert status == 0
    return path


def one_line(capsys, words):
    """What a failing command says; it exits with 2, prints nothing else, and shows no traceback."""
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("steepest: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tran"], "unknown command 'tran'; did you mean 'train'?"),
        (["train", "pp"], "unknown algorithm 'pp'; did you mean 'ppo'?"),
        (["train", "ppo"], "--env"),
        (["train", "ppo", "--env"], "--env"),
        ([*TRAIN, "--learning-rat", "1"], "unknown flag '--learning-rat'; did you mean '--learning-rate'?"),
        ([*TRAIN, "more"], "unexpected argument 'more'"),
        ([*TRAIN, "--epochs", "x"], "--epochs"),
        ([*TRAIN, "--backend", "gym"], "gym"),
        ([*TRAIN, "--discount", "1.5"], "steepest: discount is 1.5; it must be at least 0 and at most 1"),
        ([*TRAIN, "--gae_lambda", "-1"], "gae_lambda is -1.0; it must be at least 0"),
        ([*TRAIN, "--clip-radius", "0"], "clip_radius is 0.0; it must be above 0"),
        ([*TRAIN, "--minibatch-size", "100"], "minibatch_size is 100; it must divide"),
        ([*TRAIN, "--num-envs", "0"], "num_envs is 0; it must be"),
        ([*TRAIN, "--total-steps", "0"], "total_steps is 0; it must be"),
        ([*TRAIN, "--total-steps", "1.5"], "It must be a whole number; 100000 or 1e5, say."),
        ([*TRAIN, "--no-such"], "unknown flag '--no-such'. steepest train ppo --help shows them."),
        ([*TRAIN, "--total-steps", "-5"], "total_steps is -5; it must be"),
        ([*TRAIN, "--seeds", "0"], "seeds is 0; it must be"),
        ([*TRAIN, "--seed", "-1"], "seed is -1; it must be"),
        ([*TRAIN, "--seeds", "1000000000000"], "seeds is 1000000000000; it must be"),
        ([*TRAIN, "--evaluation-episodes", "1000000000000"], "evaluation_episodes is 1000000000000; it must be"),
        ([*TRAIN, "--epochs", "1000000000000"], "epochs is 1000000000000; it must be"),
        (["evaluate", "nowhere", "--episodes", "1000000000000"], "episodes is 1000000000000; it must be"),
        (["demonstrate", "nowhere", "--out", "x.npz", "--episodes", "1000000000000"], "episodes is 1000000000000"),
        (["gradients", "--env", "CartPole-v1", "--episodes", "1000000000000"], "episodes is 1000000000000"),
        (["theorems", "--instances", "1000000000000"], "instances is 1000000000000"),
        (["train", "ppo", "--env", "CartPole-v9"], "environment 'CartPole-v9'; did you mean 'CartPole-v"),
        (["train", "ppo", "--env", "Hopper-v5", "--backend", "compiled"], "unknown compiled environment 'Hopper-v5'"),
        (
            ["tune", "a2c", "--env", "CartPole-v1", "--clip-radius", "1"],
            "a2c has no clip_radius; ppo has it. Leave it out",
        ),
        ([*TRAIN, "--max-episode-steps", "x"], "--max-episode-steps is 'x'. It must be a whole number; 100000 or 1e5"),
        (
            [*TRAIN, "--discount", "x"],
            "steepest: --discount is 'x'; it must be a number. See steepest train ppo --help.",
        ),
        (["record", "x", "--seed", "y"], "steepest: --seed is 'y'; it must be a whole number. See"),
        ([*TRAIN, "--hidden", "x"], "--hidden is 'x'; that cannot be read as what it must be."),
        (["demonstrate", "x"], "--out is missing; give a file that ends in .safetensors or .npz."),
        (["tune", "ppo", "--env", "CartPole-v1", "--fresh-seeds", "0"], "steepest: fresh_seeds is 0; it must be"),
        (["evaluate", "nowhere"], "run directory nowhere: there is no such directory"),
        (["evaluate"], "run"),
        (
            ["evaluate", "x", "--episode", "1"],
            "did you mean '--episodes'? Known: --episodes, --evaluation-steps, --json, --quiet, --stochastic.",
        ),
        (
            ["resume", "x", "--seeds", "1"],
            "unknown flag '--seeds'. Known: --json, --log, --quiet, --restart-schedules, --total-steps.",
        ),
        (["resume", "nowhere"], "run directory nowhere: there is no such directory"),
        (["plot", "nowhere"], "run directory nowhere: there is no such directory"),
        (["plot"], "no run directory given"),
        (["list", "env"], "'env'"),
        ([*TRAIN, "--run-dir", LONG], "File name too long"),
        (["evaluate", LONG], "File name too long"),
        (["resume", f"{LONG}/x"], "File name too long"),
        (["demonstrate", LONG, "--out", "x.npz"], "File name too long"),
        (["gradients", "--env", "CartPole-v1", "--out", LONG], "File name too long"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_words_get_one_line_and_status_2_and_nothing_is_written(capsys, words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert says in one_line(capsys, words)
    assert not list(tmp_path.iterdir())


def test_a_directory_in_use_is_refused(capsys, run):
    assert "it is not empty" in one_line(capsys, [*TRAIN, "--run-dir", str(run)])


def test_a_missing_extra_names_the_line_that_installs_it(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "envpool", None)
    said = one_line(capsys, ["train", "ppo", "--env", "Hopper-v5", "--backend", "envpool"])
    assert "pip install 'steepest[envpool]'" in said


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["train", "ppo", "--help"], ["evaluate", "--help"]])
def test_help_comes_at_once_and_without_jax(words):
    """In a second of the processor's time, however many others want it; two are allowed."""
    code = f"""
import sys
from steepest.cli import main
try:
    status = main({words!r})
except SystemExit as stop:
    status = stop.code
assert not status
assert "jax" not in sys.modules
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: steepest" in done.stdout
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 2


def test_training_says_what_it_took_and_what_to_do_next(run, capsys, tmp_path):
    path = tmp_path / "run"
    status = main(
        [*TRAIN, "--total-steps", "1e2", "--epochs", "2", "--evaluation-episodes", "2", "--run-dir", str(path)]
    )
    out, err = capsys.readouterr()
    assert status == 0
    assert "run by compiled (steepest)" in err
    (tuned,) = [line for line in err.splitlines() if "hyper-parameters tuned for CartPole-v1" in line]
    assert "discount 0.98" in tuned
    assert "epochs" not in tuned  # which was given
    assert f" evaluate {path}" in err
    assert "mean return" in out
    assert "95% interval" not in out  # of a single seed


def test_evaluate_prints_one_object(run, capsys):
    assert main(["evaluate", str(run), "--episodes", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["algorithm", "env", "backend", "episodes", "cut_after_steps", "seeds", "iqm", "iqm_ci95"]
    assert (found["algorithm"], found["env"], found["backend"]) == ("ppo", "CartPole-v1", "compiled")
    assert found["episodes"] == 3
    assert [set(each) for each in found["seeds"]] == [{"seed", "mean_return", "std_return", "episodes_cut"}]
    assert found["cut_after_steps"] is None
    assert main(["evaluate", str(run), "--episodes", "3", "--stochastic"]) == 0
    out = capsys.readouterr().out
    assert "mean return" in out
    assert "cut" not in out


def test_episodes_that_were_cut_are_counted_in_the_table_and_in_the_object(run, capsys):
    assert main(["evaluate", str(run), "--episodes", "3", "--evaluation-steps", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cut_after_steps"] == 2
    assert [(each["episodes_cut"], each["mean_return"]) for each in found["seeds"]] == [(3, 2.0)]
    assert main(["evaluate", str(run), "--episodes", "3", "--evaluation-steps", "2"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "3 of 3 episodes had not ended after 2 steps and were cut there" in out


def test_resume_of_a_finished_run_changes_nothing(run, capsys):
    before = (run / "metrics.csv").read_bytes()
    assert main(["resume", str(run)]) == 0
    assert (run / "metrics.csv").read_bytes() == before


def test_plot_draws_several_runs_into_one_picture(run, capsys, tmp_path):
    out = tmp_path / "both.png"
    assert main(["plot", str(run), str(run), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.strip() == str(out)
    assert "Give a path that ends in" in one_line(capsys, ["plot", str(run), "--out", str(tmp_path / "x.y")])
    assert main(["plot", str(run), "--out", str(tmp_path / "new" / "one.svg")]) == 0
    other = tmp_path / "other"
    shutil.copytree(run, other)
    config = json.loads((run / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"env": "Acrobot-v1"}))
    capsys.readouterr()
    assert "runs on Acrobot-v1 and CartPole-v1 have no axis in common" in one_line(
        capsys, ["plot", str(run), str(other)]
    )


def test_where_memory_runs_out_it_is_one_line(capsys, monkeypatch):
    def fails(words):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 264800217936 bytes.")

    monkeypatch.setitem(COMMANDS, "train", ("", fails))
    assert "memory has run out. Use fewer environments" in one_line(capsys, TRAIN)
    monkeypatch.setitem(COMMANDS, "train", ("", lambda words: [][0]))
    with pytest.raises(IndexError):
        main(TRAIN)


@pytest.mark.parametrize("words", [["evaluate"], ["resume"]])
def test_an_altered_checkpoint_is_refused(run, capsys, words, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    newest = max((copy / "checkpoints" / "seed-0").glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-1])
    assert "does not match the SHA-256" in one_line(capsys, [*words, str(copy)])


def test_an_altered_configuration_does_not_take_the_checkpoints(run, capsys, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    config = json.loads((copy / "config.json").read_text())
    config["hyper_parameters"]["discount"] = 0.5
    (copy / "config.json").write_text(json.dumps(config))
    assert "made by another configuration" in one_line(capsys, ["evaluate", str(copy)])
    config["surprise"] = 1
    (copy / "config.json").write_text(json.dumps(config))
    assert "field 'surprise' is unknown" in one_line(capsys, ["evaluate", str(copy)])


def test_lists_name_what_there_is(capsys):
    assert main(["list", "algorithms"]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} >= {"ppo", "a2c", "reinforce"}
    assert main(["list", "envs"]) == 0
    assert "CartPole-v1" in capsys.readouterr().out
    assert main(["list", "envs", "cartpole"]) == 0
    shown = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert "CartPole-v1" in shown
    assert all("cartpole" in line.lower() for line in shown)


def test_the_version_is_that_of_the_package(capsys):
    import steepest

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.split() == ["steepest", steepest.__version__]


def test_an_output_that_cannot_be_written_is_one_line():
    command = f"{sys.executable} -m steepest list algorithms > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 2
    assert done.stderr == "steepest: the output: No space left on device. Give another place, or make room.\n"


def test_a_log_on_a_full_disk_does_not_end_the_run(run, monkeypatch, tmp_path):
    monkeypatch.setattr("steepest.experiments.progress._LINE_EVERY", 0.0)
    shutil.copytree(run, tmp_path / "copy")
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        steepest.resume(tmp_path / "copy", total_steps=640, progress=True)
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()


def test_a_reader_that_has_seen_enough_is_no_error():
    command = f"{sys.executable} -m steepest list envs | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env=os.environ)
    assert "Traceback" not in done.stderr
