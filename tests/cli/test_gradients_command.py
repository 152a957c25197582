"""`steepest gradients`: from end to end on each kind of environment, and what it refuses."""

import csv
import json
import subprocess
import sys

import pytest

from steepest.cli.main import main
from steepest.diagnostics.catalogue import ESTIMATORS

FEW = ["--episodes", "10", "--repeats", "5"]
THREE = ["--estimators", "whole_return", "reward_to_go", "gae"]


def test_a_table_is_compared_with_its_exact_gradient(capsys, tmp_path):
    assert main(["gradients", "--env", "FrozenLake-v1", *FEW, *THREE, "--out", str(tmp_path / "new")]) == 0
    out, err = capsys.readouterr()
    assert all(name in out for name in THREE[1:])
    assert "standard" in out
    assert "∇J: exact, of the return of the first 100 steps" in err
    assert "from its table" in err
    assert "TabularPolicy with 64 parameters" in err
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "gradients.png",
        "gradients.csv",
        "gradients.json",
    }
    assert (tmp_path / "new" / "gradients.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((tmp_path / "new" / "gradients.json").read_text())
    assert found["reference"]["exact"] is True
    with (tmp_path / "new" / "gradients.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == THREE[1:]
    assert float(rows[1]["variance"]) == found["estimators"][1]["variance"] > 0


def test_a_compiled_environment_has_a_sampled_reference(capsys, tmp_path):
    words = ["gradients", "--env", "CartPole-v1", *FEW, *THREE, "--max-episode-steps", "30", "--hidden", "4", "--json"]
    assert main([*words, "--reference-episodes", "400", "--csv", str(tmp_path / "table.csv")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["env"], found["max_episode_steps"], found["episodes"], found["repeats"]) == ("CartPole-v1", 30, 10, 5)
    assert found["policy"] == "NetworkPolicy with 30 parameters, fresh"
    assert found["reference"]["exact"] is False
    assert 0 < found["reference"]["standard_error"] < found["reference"]["norm"]
    assert "400 other episodes" in found["reference"]["meaning"]
    assert [each["estimates"] for each in found["estimators"]] == ["∇J", "∇J", "other"]
    assert all(100 < each["steps"] <= 300 for each in found["estimators"])
    assert (tmp_path / "table.csv").read_text().startswith("name,identifier,")
    main([*words, "--reference-episodes", "400"])
    again = json.loads(capsys.readouterr().out)
    assert [each["variance"] for each in again["estimators"]] == [each["variance"] for each in found["estimators"]]


def test_gymnasium_plays_what_the_table_describes(capsys, tmp_path):
    words = ["gradients", "--env", "FrozenLake-v1", "--backend", "gymnasium", *FEW, *THREE, "--json"]
    assert main([*words, "--figure", str(tmp_path / "picture.svg")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "gymnasium" in found["played"]
    assert found["reference"]["exact"] is True
    assert "<svg" in (tmp_path / "picture.svg").read_text()


def test_gymnasium_without_a_table(capsys):
    words = ["gradients", "--env", "CartPole-v1", "--backend", "gymnasium", *FEW, "--max-episode-steps", "8", *THREE]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reference"]["exact"] is False
    assert found["max_episode_steps"] == 8
    assert all(each["seconds"] > 0 for each in found["estimators"])


def test_the_linear_quadratic_problem_with_another_policy_that_plays(capsys):
    words = ["gradients", "--env", "LinearQuadratic", *FEW, "--behaviour", "fresh", "--max-episode-steps", "3"]
    assert main([*words, "--estimators", "deterministic", "importance_first_order", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reference"]["exact"] is True
    assert [each["estimates"] for each in found["estimators"]] == ["other", "other"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("gradients") / "run"
    small = ["--num-envs", "4", "--segment-length", "32", "--minibatch-size", "32", "--epochs", "1", "--hidden", "8"]
    words = ["train", "ppo", "--env", "Pendulum-v1", *small, "--normalise-observations", "--no-preset", "--seed", "3"]
    assert main([*words, "--total-steps", "256", "--evaluation-episodes", "0", "--run-dir", str(path)]) == 0
    return path


def test_the_policy_of_a_run_sees_what_it_was_trained_on(run, capsys):
    words = ["gradients", "--policy", str(run), *FEW, "--max-episode-steps", "5", "--reference-episodes", "300"]
    words += ["--estimators", "importance_whole", "learned_baseline"]
    assert main([*words, "--policy-seed", "3", "--behaviour", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["env"] == "Pendulum-v1"
    # Two layers and log σ. The statistics of observations are no parameters.
    assert found["policy"] == f"NetworkPolicy with {3 * 8 + 8 + 8 + 1 + 1} parameters, of {run}"
    # Both policies are the same, so all weights are 1.
    assert found["estimators"][0]["effective_share"] == pytest.approx(1)


def test_the_list_says_what_they_are(capsys):
    assert main(["list", "estimators"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(ESTIMATORS)
    assert all(entry.meaning in line for entry, line in zip(ESTIMATORS.values(), lines, strict=True))


ENV = ["--env", "CliffWalking-v1"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--env is missing"),
        ([*ENV, "--estimators", "gaee"], "unknown estimator 'gaee'; did you mean 'gae'?"),
        ([*ENV, "--episodes", "0"], "episodes is 0; it must be a whole number and at least 1"),
        ([*ENV, "--repeats", "1"], "repeats is 1; it must be a whole number and at least 2"),
        ([*ENV, "--discount", "1.5"], "discount is 1.5; it must be at least 0 and at most 1"),
        ([*ENV, "--gae_lambda", "-1"], "gae_lambda is -1.0"),
        ([*ENV, "--n", "0"], "n is 0"),
        ([*ENV, "--seed", "-1"], "seed is -1"),
        ([*ENV, "--max-episode-steps", "0"], "max_episode_steps is 0"),
        ([*ENV, "--policy", "nowhere"], "run directory nowhere: there is no such directory"),
        ([*ENV, "--behaviour", "nowhere"], "run directory nowhere: there is no such directory"),
        ([*ENV, "--policy-seed", "1"], "policy_seed is given without --policy"),
        ([*ENV, "--figure", "x.y"], "Give a path that ends in .png, .pdf or .svg"),
        ([*ENV, "--csv", "nowhere/x.csv"], "there is no directory nowhere"),
        ([*ENV, "--episode", "3"], "unknown flag '--episode'; did you mean '--episodes'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_words_get_one_line_and_status_2_before_anything_else(capsys, monkeypatch, words, says):
    monkeypatch.setattr("jax.random.key", lambda *_: pytest.fail("too late"))
    assert says in one_line(capsys, words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--env", "CartPole-v9"], "environment 'CartPole-v9'; did you mean 'CartPole-v"),
        ([*ENV, "--estimators", "deterministic"], "estimator deterministic needs continuous actions"),
        ([*ENV, "--estimators", "off_policy"], "needs episodes of another policy. Give --behaviour"),
        (["--env", "Pendulum-v1", "--estimators", "exact_baseline"], "needs exact values"),
        (["--env", "Hopper-v5", "--backend", "compiled"], "unknown compiled environment"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_does_not_fit_the_environment_is_refused(capsys, words, says):
    assert says in one_line(capsys, words)


def test_a_policy_for_other_spaces_or_an_unknown_seed_is_refused(capsys, run):
    said = one_line(capsys, ["--env", "CartPole-v1", "--policy", str(run)])
    assert "the policy was trained on Pendulum-v1; its observation space is Box[3]" in said
    assert "seed 7 is not among its seeds, [3]" in one_line(capsys, ["--policy", str(run), "--policy-seed", "7"])


def one_line(capsys, words):
    capsys.readouterr()
    assert main(["gradients", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("steepest: ")
    return err.splitlines()[-1]


@pytest.mark.parametrize("words", [["--help"], ["--env", "CliffWalking-v1", "--estimators", "gaee"]])
def test_help_and_wrong_words_need_no_jax(words):
    code = f"""
import sys
from steepest.cli import main
try:
    status = main(["gradients", *{words!r}])
except SystemExit as stop:
    status = stop.code
assert status in (0, None, 2), status
assert "jax" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
