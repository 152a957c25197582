"""What `steepest compare` pools, what it refuses to pool, and the numbers that come of it."""

import json
import subprocess
import sys

import numpy as np
import pytest
from written_runs import write_run

import steepest
from steepest.core.errors import InputError
from steepest.reports.tables import better_first
from steepest.runs.statistics import interquartile_mean

FIVE = {0: 100.0, 1: 200.0, 2: 300.0, 3: 400.0, 4: 500.0}


def methods(found):
    return [each["method"] for each in found["methods"]]


def pooled(found):
    return [(each["method"], each["environment"], each["seed"]) for each in found["seeds"] if each["pooled"]]


def test_seeds_of_equal_runs_are_one_method_and_their_numbers_are_those_of_one_run(tmp_path):
    together = write_run(tmp_path / "together", FIVE)
    for seed, value in FIVE.items():
        write_run(tmp_path / "apart" / str(seed), {seed: value})
    one, other = steepest.compare(together), steepest.compare(tmp_path / "apart")
    assert methods(other) == ["ppo"]
    assert len(pooled(other)) == 5
    for name in ("environments", "aggregated_over", "performance_profiles", "notices"):
        left, right = (json.loads(json.dumps(each[name])) for each in (one, other))
        for each in (left, right) if name == "environments" else ():
            for method in each[0]["methods"]:
                method["worst_seed"].pop("run")
                method["best_seed"].pop("run")
        assert left == right
    assert one["methods"][0]["aggregate"] == other["methods"][0]["aggregate"]


def test_the_numbers_of_one_environment_by_hand(tmp_path):
    write_run(tmp_path / "a", FIVE)
    write_run(tmp_path / "b", {0: 50.0, 1: 250.0}, algorithm="a2c")
    found = steepest.compare(tmp_path)
    (environment,) = found["environments"]
    ppo, _ = environment["methods"]
    assert (ppo["iqm"], ppo["median"], ppo["mean"]) == (300, 300, 300)
    assert ppo["deviation"] == pytest.approx(np.std(list(FIVE.values()), ddof=1))
    assert (ppo["worst_seed"]["seed"], ppo["worst_seed"]["return"]) == (0, 100)
    assert (ppo["best_seed"]["seed"], ppo["best_seed"]["return"]) == (4, 500)
    assert 100 <= ppo["iqm_ci95"][0] < 300 < ppo["iqm_ci95"][1] <= 500
    assert not found["normalised"]
    aggregate = found["methods"][1]["aggregate"]
    assert (aggregate["mean"]["value"], aggregate["optimality_gap"]["value"]) == (150, 350)
    (improvement,) = found["probability_of_improvement"]
    assert improvement["value"] == (1 + 1 + 2 + 2 + 2) / 10
    assert "unequal numbers of seeds: 5 of ppo, 2 of a2c" in found["notices"][0]


def test_several_environments_are_put_on_one_scale_and_it_says_how(tmp_path):
    write_run(tmp_path / "a", FIVE)
    write_run(tmp_path / "b", {0: -500.0, 1: -100.0}, env="Acrobot-v1")
    write_run(tmp_path / "c", {0: 0.0, 1: 300.0}, algorithm="a2c")
    write_run(tmp_path / "d", {0: -400.0, 1: -300.0}, algorithm="a2c", env="Acrobot-v1")
    found = steepest.compare(tmp_path)
    assert found["normalised"]
    assert "lowest and 1 at the highest" in found["normalisation"]
    scores = [np.array(list(FIVE.values())) / 500, (np.array([-500.0, -100.0]) + 500) / 400]
    aggregate = found["methods"][0]["aggregate"]
    assert aggregate["mean"]["value"] == pytest.approx((scores[0].mean() + scores[1].mean()) / 2)
    weights = np.repeat([1 / 5, 1 / 2], [5, 2])
    expected = interquartile_mean(np.concatenate(scores), weights=weights)
    assert aggregate["iqm"]["value"] == pytest.approx(expected)

    table = tmp_path / "table.toml"
    table.write_text('["CartPole-v1"]\nlow = 0\nhigh = 1000\n["Acrobot-v1"]\nlow = -500\nhigh = 0\n')
    given = steepest.compare(tmp_path, normalise=table)
    assert given["methods"][1]["aggregate"]["mean"]["value"] == pytest.approx((0.15 + 0.3) / 2)
    table.write_text('["CartPole-v1"]\nlow = 0\nhigh = 1000\n')
    with pytest.raises(InputError, match="the table has no 'Acrobot-v1'"):
        steepest.compare(tmp_path, normalise=table)
    table.write_text('["CartPole-v1"]\nlow = 5\nhigh = 5\n')
    with pytest.raises(InputError, match="low 5 and high 5; they must be numbers"):
        steepest.compare(tmp_path, normalise=table)
    table.write_text("low =")
    with pytest.raises(InputError, match="not valid TOML"):
        steepest.compare(tmp_path, normalise=table)


def test_what_differs_names_the_methods(tmp_path):
    for epochs in (4, 10):
        for seed in range(2):
            write_run(tmp_path / f"{epochs}-{seed}", {seed: 100.0 * epochs}, hyper={"epochs": epochs})
    write_run(tmp_path / "other", {0: 3.0}, algorithm="a2c")
    assert sorted(methods(steepest.compare(tmp_path))) == ["a2c", "ppo, epochs 10", "ppo, epochs 4"]
    labelled = steepest.compare(tmp_path / "4-0", tmp_path / "10-0", labels=("short", "long"))
    assert methods(labelled) == ["short", "long"]


def test_hyper_parameters_that_were_tuned_for_each_environment_are_one_method(tmp_path):
    write_run(tmp_path / "a", {0: 1.0}, hyper={"epochs": 4})
    write_run(tmp_path / "b", {0: -1.0}, env="Acrobot-v1", hyper={"epochs": 10})
    assert methods(steepest.compare(tmp_path)) == ["ppo"]


@pytest.mark.parametrize(
    ("changes", "name", "says"),
    [
        ({"total_steps": 40_000}, "ppo, total_steps 40,000", "Steps: 20,000 for ppo, total_steps 20,000; 40,000 for"),
        ({"evaluation_episodes": 100}, "ppo, evaluation_episodes 100", "Episodes of the evaluation: 4 for"),
        ({"evaluation_steps": 50}, "ppo, evaluation_steps 50", "is cut: none for"),
        (
            {"library": "envpool 1.2"},
            "ppo, library envpool 1.2",
            "Whose environment it is, and its version: steepest for",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_unequal_budgets_are_not_pooled_and_it_says_so(tmp_path, changes, name, says):
    write_run(tmp_path / "a", {0: 1.0, 1: 2.0})
    write_run(tmp_path / "b", {2: 3.0, 3: 4.0}, **changes)
    found = steepest.compare(tmp_path)
    assert name in methods(found)
    assert len(methods(found)) == 2
    assert any("unequal budgets" in each and says in each for each in found["notices"]), found["notices"]


def test_other_versions_are_pooled_and_it_says_so(tmp_path):
    write_run(tmp_path / "a", {0: 1.0})
    write_run(tmp_path / "b", {1: 3.0}, versions={"steepest": "0.1.0", "jax": "0.11.0"})
    found = steepest.compare(tmp_path)
    assert methods(found) == ["ppo"]
    assert any("different versions of jax: 0.10.2" in each for each in found["notices"])


def test_a_seed_that_was_trained_twice_counts_once(tmp_path):
    write_run(tmp_path / "a", {0: 1.0, 1: 2.0})
    write_run(tmp_path / "b", {1: 2.0, 2: 3.0})
    found = steepest.compare(tmp_path, tmp_path / "a")
    assert pooled(found) == [("ppo", "CartPole-v1", seed) for seed in (0, 1, 2)]
    assert any("seed 1 of" in each and "no second sample" in each for each in found["notices"])


def test_runs_that_did_not_finish_are_told_of_and_not_pooled(tmp_path):
    study = tmp_path / "study"
    write_run(study / "runs" / "good", {0: 1.0})
    write_run(study / "runs" / "half", {1: 1000.0}, until=0.5)
    write_run(study / "runs" / "bad", {2: 1000.0}, until=0.5)
    (study / "study.toml").write_text("")
    (study / "failures").mkdir()
    for name in ("bad", "never-began"):
        note = {"run": name, "message": "the loss is NaN", "time": 0}
        (study / "failures" / f"{name}.json").write_text(json.dumps(note))
    (study / "runs" / "damaged").mkdir()
    (study / "runs" / "damaged" / "config.json").write_text("{")
    (study / "runs" / "damaged" / "metrics.csv").write_text("")
    found = steepest.compare(study)
    assert pooled(found) == [("ppo", "CartPole-v1", 0)]
    failed = {each["run"].rsplit("/", 1)[1]: each["message"] for each in found["failed"]}
    assert failed["bad"] == failed["never-began"] == "the loss is NaN"
    assert "not valid JSON" in failed["damaged"]
    ((half, state),) = [(each["run"], each["state"]) for each in found["unfinished"]]
    assert half.endswith("half")
    assert state == "interrupted"
    assert any(each.startswith("3 runs failed and are in no number here") for each in found["notices"])
    assert any(each.startswith("1 run is not finished and not pooled") for each in found["notices"])
    assert found["environments"][0]["methods"][0]["iqm"] == 1


def test_metrics_that_are_damaged_are_told_of(tmp_path):
    run = write_run(tmp_path / "a", {0: 1.0})
    with (run / "metrics.csv").open("a") as file:
        file.write("0,x\n")
    assert any("line 22 is damaged, and left out" in each for each in steepest.compare(run)["notices"])
    (run / "metrics.csv").write_text("x\n")
    found = steepest.compare(run, out=tmp_path / "out")
    assert any("not the names of columns" in each for each in found["notices"])
    assert found["environments"][0]["methods"][0]["iqm"] == 1


def test_without_an_evaluation_everybody_is_measured_by_the_last_episodes(tmp_path):
    write_run(tmp_path / "a", {0: 10.0, 1: 20.0})
    write_run(tmp_path / "b", {0: 30.0}, algorithm="a2c", evaluated=False, evaluation_episodes=0)
    found = steepest.compare(tmp_path)
    assert found["environments"][0]["measured_by"] == "training"
    assert any("returns are those of the last episodes while learning" in each for each in found["notices"])
    assert {each["measured_by"] for each in found["seeds"]} == {"training"}


def test_an_environment_that_one_method_lacks_is_not_aggregated(tmp_path):
    write_run(tmp_path / "a", {0: 1.0})
    write_run(tmp_path / "b", {0: 2.0}, algorithm="a2c")
    write_run(tmp_path / "c", {0: -2.0}, env="Acrobot-v1")
    found = steepest.compare(tmp_path)
    assert found["aggregated_over"] == ["CartPole-v1"]
    assert "Acrobot-v1 is not in the aggregates: no finished seeds of a2c there." in found["notices"]
    apart = steepest.compare(tmp_path / "b", tmp_path / "c")
    assert apart["aggregated_over"] == []
    assert [each["aggregate"] for each in apart["methods"]] == [None, None]


def test_one_seed_has_no_interval(tmp_path):
    write_run(tmp_path / "a", {0: 1.0})
    found = steepest.compare(tmp_path)
    assert found["environments"][0]["methods"][0]["iqm_ci95"] is None
    assert found["methods"][0]["aggregate"]["mean"] == {"value": 1.0, "ci95": None}


def test_what_cannot_be_compared_is_refused(tmp_path):
    with pytest.raises(InputError, match="runs: none are given"):
        steepest.compare()
    with pytest.raises(InputError, match="there is no such directory"):
        steepest.compare(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no run in it"):
        steepest.compare(tmp_path)
    run = write_run(tmp_path / "half", {0: 1.0}, until=0.5)
    with pytest.raises(InputError, match=r"none of the 1 has finished.*steepest resume"):
        steepest.compare(run)
    with pytest.raises(InputError, match="labels: 2 given, for 1 of what is compared"):
        steepest.compare(run, labels=("a", "b"))


def test_nothing_of_it_needs_jax(tmp_path):
    write_run(tmp_path / "a", {0: 1.0, 1: 2.0})
    code = f"import sys, steepest; steepest.compare({str(tmp_path)!r}, out={str(tmp_path / 'out')!r}); "
    done = subprocess.run([sys.executable, "-c", f"{code}print('jax' in sys.modules)"], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_the_better_method_stands_first():
    pair = {"method": "a", "over": "b", "value": 0.25, "ci95": [0.125, 0.5]}
    assert better_first(pair) == {"method": "b", "over": "a", "value": 0.75, "ci95": [0.5, 0.875]}
    assert better_first(better_first(pair)) == better_first(pair)
    assert better_first(pair | {"ci95": None})["ci95"] is None
