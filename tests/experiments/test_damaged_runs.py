"""Whole runs that something happened to: what is whole is used, the rest is named, and nothing is executed."""

import json
import resource
import shutil
import warnings

import jax
import numpy as np
import pytest
from reliability.small_runs import begun, newest, trained

import steepest
from steepest.cli.main import main
from steepest.core.errors import InputError, StorageFault
from steepest.experiments import keeping
from steepest.experiments.train import execute
from steepest.runs import checkpoints, metrics
from steepest.runs.directory import RunDirectory

TIMES = ("wall_time", "steps_per_second")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    trained(path)
    return path


@pytest.fixture
def run(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def columns(run):
    return {name: values for name, values in metrics.read(run.metrics).items() if name not in TIMES}


def test_a_damaged_newest_checkpoint_costs_one_update_and_not_the_run(run, whole):
    path = newest(run, 1)
    path.with_suffix(".safetensors").write_bytes(b"damaged")
    with pytest.warns(RuntimeWarning, match=r"000000010.safetensors: its content does not.* in its place: update 9"):
        before = steepest.evaluate(run.path, episodes=2)
    assert before["episodes"] == 2
    with pytest.warns(RuntimeWarning, match=r"in its place: update 9, before it"):
        steepest.resume(run.path)
    for seed in (0, 1):
        made, wanted = (newest(each, seed).with_suffix(".safetensors") for each in (run, RunDirectory(whole)))
        assert made.name == wanted.name
        assert made.read_bytes() == wanted.read_bytes()
    jax.tree.map(np.testing.assert_array_equal, columns(run), columns(RunDirectory(whole)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steepest.evaluate(run.path, episodes=2)


def test_on_the_command_line_that_is_one_line(run, capsys):
    newest(run, 1).write_text("{")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(["evaluate", str(run.path), "--episodes", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["episodes"] == 1
    assert err.startswith("steepest: checkpoint ")
    assert err.count("\n") == 1
    shutil.rmtree(run.checkpoints(1))
    (run.checkpoints(1)).mkdir()
    assert main(["evaluate", str(run.path)]) == 2


def test_checkpoints_of_two_seeds_that_were_swapped_are_refused(run, capsys):
    run.checkpoints(0).rename(run.path / "elsewhere")
    run.checkpoints(1).rename(run.checkpoints(0))
    (run.path / "elsewhere").rename(run.checkpoints(1))
    for seed in (0, 1):  # even where the manifests were changed too
        for path in checkpoints.manifests(run.checkpoints(seed)):
            path.write_text(json.dumps(json.loads(path.read_text()) | {"seed": seed}))
    for call in (steepest.evaluate, steepest.resume):
        with pytest.raises(InputError, match=r"seed-0.*key inside is not what its manifest and place say"):
            call(run.path)


def test_rows_that_are_damaged_are_named_when_a_run_goes_on(run, whole):
    """And the run is not ended by them."""
    header, *lines = run.metrics.read_text().splitlines()
    run.metrics.write_text("\n".join([header, "half a row", *lines[1:]]) + "\n")
    with pytest.warns(RuntimeWarning, match=r"metrics.csv: line 2 is damaged. It is kept as metrics.damaged-1.csv"):
        steepest.resume(run.path)
    assert len(metrics.read(run.metrics)["seed"]) == len(lines) - 1


def test_a_fresh_run_does_not_go_on_with_what_was_begun_in_its_directory_meanwhile(tmp_path):
    late = begun(tmp_path / "run")
    trained(tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"run: it is not empty. Choose another"):
        execute(late, show=False)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("size", [100, 3000, 6000])
def test_a_full_disk_is_one_line_and_the_run_goes_on_once_there_is_room(tmp_path, size):
    """No file may be longer than that: not the configuration, a checkpoint, or the table of metrics and the picture."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    experiment = begun(tmp_path / "run", (0,), total_steps=6400)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
        with pytest.raises(StorageFault, match=r"it cannot be written \(File too large\). Make room") as error:
            execute(experiment, show=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "\n" not in str(error.value)
    left = [path.name for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not [name for name in left if name.endswith(".tmp")]
    if size == 100:
        assert not left
        return
    assert str(error.value).endswith(f"Then go on with it: steepest resume {tmp_path / 'run'}")
    result = steepest.resume(tmp_path / "run")
    assert result.finished
    assert result.metrics["update"].tolist() == [*range(1, 201)]


def test_a_result_stands_though_its_picture_and_evaluation_cannot_be_written(run, monkeypatch):
    def fails(*_, **__):
        raise StorageFault("curve.png: it cannot be written")

    monkeypatch.setattr(keeping, "plot_curves", fails)
    monkeypatch.setattr(keeping, "write_atomically", fails)
    with pytest.warns(RuntimeWarning, match="it cannot be written"):
        result = steepest.resume(run.path)
    assert result.evaluation is not None
