"""What is kept of a run: checkpoints that cannot lie, metrics, statistics, pictures."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from steepest.core.errors import InputError
from steepest.runs import checkpoints, metrics
from steepest.runs.directory import RunDirectory
from steepest.runs.plot import learning_curve, plot_curves
from steepest.runs.statistics import bootstrap_interval, interquartile_mean


class State(eqx.Module):
    weights: jax.Array
    count: jax.Array
    key: jax.Array


def state(seed):
    key = jax.random.key(seed)
    return State(jax.random.normal(key, (3, 2)), jnp.asarray(seed, jnp.int32), key)


def save(directory, seed=1, update=7):
    checkpoints.save(directory, state(seed), seed=0, update=update, steps=70, fingerprint="mine")
    return checkpoints.latest(directory)


def like():
    return jax.eval_shape(lambda: state(0))


def test_a_tree_comes_back_bit_for_bit_keys_and_scalars_too(tmp_path):
    found, manifest = checkpoints.load(save(tmp_path), like(), fingerprint="mine")
    jax.tree.map(np.testing.assert_array_equal, found.weights, state(1).weights)
    assert found.count == 1
    np.testing.assert_array_equal(jax.random.key_data(found.key), jax.random.key_data(state(1).key))
    assert (manifest.update, manifest.steps) == (7, 70)


def test_the_newest_two_are_kept_and_nothing_temporary_stays(tmp_path):
    for update in (1, 2, 10):
        save(tmp_path, update=update)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{update:09d}.{suffix}" for update in (2, 10) for suffix in ("json", "safetensors")
    ]
    assert checkpoints.latest(tmp_path).stem == "000000010"
    assert checkpoints.latest(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda arrays, _: arrays.write_bytes(arrays.read_bytes()[:-5]), "does not match the SHA-256.*cut short"),
        (lambda arrays, _: arrays.write_bytes(arrays.read_bytes()[:-1] + b"x"), "does not match the SHA-256"),
        (lambda arrays, _: arrays.unlink(), "No such file"),
        (lambda _, manifest: manifest.write_text("{"), "the manifest cannot be read"),
        (lambda _, manifest: manifest.write_text('{"seed": 0}'), "the manifest cannot be read"),
    ],
)
def test_a_damaged_checkpoint_is_refused_with_the_way_out(tmp_path, damage, message):
    save(tmp_path, update=6)
    path = save(tmp_path)
    damage(path.with_suffix(".safetensors"), path)
    with pytest.raises(InputError, match=message) as error:
        checkpoints.load(path, like(), fingerprint="mine")
    assert "go back to the one before it, 000000006" in str(error.value)


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    path = save(tmp_path)
    with pytest.raises(InputError, match="made by another configuration"):
        checkpoints.load(path, like(), fingerprint="other")
    wider = jax.eval_shape(lambda: eqx.tree_at(lambda each: each.weights, state(0), jnp.zeros((4, 2))))
    with pytest.raises(InputError, match=r"\.weights is float32\[3, 2\]; the configuration needs float32\[4, 2\]"):
        checkpoints.load(path, wider, fingerprint="mine")


def rows(seed, updates, first=1):
    return [
        {
            "seed": seed,
            "update": update,
            "steps": 10 * update,
            "wall_time": update / 2,
            "steps_per_second": 20.0,
            "episodes": update % 3,
            "return": float("nan") if update % 3 == 0 else float(100 * seed + update),
            "length": 5.0,
            "kl": 0.01,
        }
        for update in range(first, updates + 1)
    ]


def test_metrics_written_in_any_order_are_read_back_by_seed_and_update(tmp_path):
    path = tmp_path / "metrics.csv"
    for part in (rows(1, 2), rows(0, 3), rows(1, 4, first=3)):
        metrics.append(path, part)
    columns = metrics.read(path)
    assert columns["seed"].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert columns["update"].tolist() == [1, 2, 3, 1, 2, 3, 4]
    assert np.isnan(columns["return"][2])
    assert set(columns) == {*metrics.FIRST, "kl"}
    assert path.read_text().count("seed") == 1


def test_cutting_forgets_what_comes_after_the_checkpoint_and_a_torn_last_line(tmp_path):
    path = tmp_path / "metrics.csv"
    metrics.append(path, rows(0, 4) + rows(1, 4))
    with path.open("a") as file:
        file.write("0,5,5")
    assert metrics.cut(path, {0: 3, 1: 1}) == 1.5
    columns = metrics.read(path)
    assert list(zip(columns["seed"], columns["update"], strict=True)) == [(0, 1), (0, 2), (0, 3), (1, 1)]
    assert metrics.cut(tmp_path / "none.csv", {}) == 0


@pytest.mark.parametrize("content", ["", "seed,update\n", "a,b\n1,2\n", "seed\nx\n"])
def test_a_table_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "metrics.csv"
    path.write_text(content)
    with pytest.raises(InputError):
        metrics.read(path)


@pytest.mark.parametrize("count", range(1, 12))
def test_the_interquartile_mean_is_the_trimmed_mean_of_rliable(count):
    values = np.random.default_rng(count).normal(size=(3, count))
    expected = scipy.stats.trim_mean(values, 0.25, axis=1)
    np.testing.assert_allclose(interquartile_mean(values), expected)
    np.testing.assert_allclose(interquartile_mean(values.T, axis=0), expected)


def test_the_bootstrap_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    low, high = bootstrap_interval(generator.normal(size=(300, 30)), resamples=400)
    assert 0.88 <= np.mean((low <= 0) & (high >= 0)) <= 0.99
    point_low, point_high = bootstrap_interval(np.array([3.0]))
    assert point_low == point_high == 3


def test_a_learning_curve_reads_every_seed_off_at_the_same_steps(tmp_path):
    path = tmp_path / "metrics.csv"
    metrics.append(path, rows(0, 200) + rows(1, 220))
    steps, returns = learning_curve(metrics.read(path))
    assert returns.shape == (len(steps), 2)
    assert steps[-1] == 2000
    np.testing.assert_allclose(returns[:, 1] - returns[:, 0], 100)
    assert np.all(np.abs(returns[50:, 0] - steps[50:] / 10) < 7)


def test_a_picture_is_drawn_and_a_format_that_cannot_be_is_refused(tmp_path):
    path = tmp_path / "metrics.csv"
    metrics.append(path, rows(0, 50) + rows(1, 50))
    out = tmp_path / "curve.png"
    plot_curves({"ppo": metrics.read(path)}, "CartPole-v1", out)
    assert out.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"Give a path that ends in .png"):
        plot_curves({"ppo": metrics.read(path)}, "CartPole-v1", tmp_path / "curve.txt")


def test_directories_are_numbered_and_ones_in_use_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert RunDirectory.fresh(None, "ppo-X").path.name == "ppo-X-1"
    (tmp_path / "runs" / "ppo-X-3").mkdir(parents=True)
    assert RunDirectory.fresh(None, "ppo-X").path.name == "ppo-X-4"
    (tmp_path / "full").mkdir()
    assert RunDirectory.fresh("full", "").path.name == "full"
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(InputError, match=r"it is not empty. Choose another.*steepest resume full"):
        RunDirectory.fresh("full", "")
    with pytest.raises(InputError, match="a file of that name exists"):
        RunDirectory.fresh("full/file", "")


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"it has no config.json"):
        RunDirectory.existing(tmp_path)
    with pytest.raises(InputError, match="there is no such directory"):
        RunDirectory.existing(tmp_path / "none")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        RunDirectory.existing(tmp_path).read_config()
