"""Every example runs, with fewer steps than it has for people."""

import pathlib
import runpy

import jax
import pytest

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"
SHORT = {
    "own_network.py": 4096,
    "own_encoder.py": 2048,
    "own_algorithm.py": 4096,
    "own_environment.py": 4096,
    "a_listener.py": 4096,
    "grid_of_parts.py": 1,
}
SAYS = {
    "own_network.py": "mean return of 20 episodes",
    "own_encoder.py": "mean return of 20 episodes",
    "own_algorithm.py": "largest measured KL of an update: 0.0",
    "own_environment.py": "at 10 °C it heats by",
    "a_listener.py": "seed 0, 4,096 steps",
    "grid_of_parts.py": "trust region, score",
}


def test_every_example_is_here_or_has_a_test_of_its_own():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*SHORT, "a_day.py", "broken_off_policy_actor_critic.py"}


@pytest.mark.parametrize("name", [name for name in SHORT if name != "grid_of_parts.py"])
def test_an_example_runs_and_says_what_it_promises(name, capsys):
    main = runpy.run_path(str(EXAMPLES / name))["main"]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        main(SHORT[name])
    assert SAYS[name] in capsys.readouterr().out


def test_the_grid_is_typed_as_the_lecture_draws_it(capsys, monkeypatch):
    """Two of its rows; every combination is tested with exact answers elsewhere."""
    example = runpy.run_path(str(EXAMPLES / "grid_of_parts.py"))
    names = example["main"].__globals__
    monkeypatch.setitem(names, "STEP_RULES", {name: names["STEP_RULES"][name] for name in ("ascent", "trust region")})
    monkeypatch.setitem(names, "ADVANTAGES", {"GAE": names["ADVANTAGES"]["GAE"]})
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        example["main"](4)
    rows = {line[:26].strip(): line[26:].strip() for line in capsys.readouterr().out.splitlines()}
    assert rows["trust region, score"] == "–"
    assert float(rows["ascent, ratio"]) > 0
    assert float(rows["trust region, ratio"]) > 0


def test_a_day_with_a_notebook(capsys, monkeypatch, tmp_path):
    """All of its cells, on a run of few updates."""
    words = (EXAMPLES / "a_day.py").read_text()
    for long, short in (("=40_000", "=2048"), ("=10_000", "=1024"), ("=50_000", "=3072")):
        assert long in words
        words = words.replace(long, short)
    monkeypatch.setattr("tempfile.mkdtemp", lambda prefix: str(tmp_path))
    cells = words.split("\n# %%")
    assert len(cells) == 9
    names = {}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for cell in cells:
            exec(compile(f"#{cell}" if cell is not cells[0] else cell, "a_day.py", "exec"), names)
    said = capsys.readouterr().out
    assert "<TrainedPolicy: ppo on CartPole-v1, seed 0, 2,048 steps of training" in said
    assert "after 1,024 steps of training" in said
    assert "3,072 steps" in said
    assert {"first", "curve.png", "play.gif", "training.gif", "expert.npz"} == {
        each.name for each in tmp_path.iterdir()
    }
