"""`steepest theorems`: what it prints, and how it exits."""

import json

import pytest

from steepest.cli import theorems as command
from steepest.cli.main import main
from steepest.theorems import Claim, Result

FEW = ["theorems", "--instances", "5", "--only"]


def test_it_says_what_was_measured_and_that_it_holds(capsys):
    assert main([*FEW, "T3", "t8"]) == 0
    out, err = capsys.readouterr()
    assert "T3  J(π') − J(π) ≥" in out
    assert "T8  greedy on fitted advantages" in out
    assert "T1 " not in out
    assert "E_p[f]" in out  # brackets are not markup
    assert out.count("holds") == 8
    assert all(word in out for word in ("worst", "bound", "slack", "verdict"))
    assert "2 checked in" in err


def test_json_has_the_same_numbers(capsys):
    assert main([*FEW, "T2", "--json", "--seed", "7"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["seed"], found["holds"], found["figures"]) == (7, True, [])
    (theorem,) = found["theorems"]
    assert (theorem["id"], theorem["instances"], theorem["holds"]) == ("T2", 5, True)
    for claim in theorem["claims"]:
        assert set(claim) == {"what", "measured", "bound", "relation", "slack", "holds"}
        assert claim["holds"] == (claim["slack"] >= 0)


def test_pictures_are_drawn_where_asked(capsys, tmp_path):
    assert main([*FEW, "T8", "T2", "--figures", str(tmp_path / "figures")]) == 0
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["T8-collapse.png"]
    assert "T8-collapse.png" in capsys.readouterr().out.replace("\n", "")


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_bound_that_is_violated_is_shown_and_exits_with_1(capsys, monkeypatch, words):
    broken = Result("T2", "two is at most one", 3, (Claim("two", 2.0, 1.0),))
    monkeypatch.setattr(command, "theorem", lambda name: lambda seed, instances: broken)
    assert main(["theorems", "--only", "T2", *words]) == 1
    out, err = capsys.readouterr()
    if words:
        assert json.loads(out)["holds"] is False
    else:
        assert "VIOLATED" in out
        assert "violated: T2" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--only", "T13"], "unknown theorem 'T13'; did you mean"),
        (["--instances", "0"], "instances is 0; it must be a whole number and at least 1"),
        (["--seed", "-1"], "seed is -1; it must be a whole number and at least 0"),
        (["--sed", "1"], "unknown flag '--sed'; did you mean '--seed'?"),
        (["--instances", "x"], "--instances"),
    ],
)
def test_wrong_words_get_one_line_and_status_2(capsys, words, says):
    assert main(["theorems", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1
