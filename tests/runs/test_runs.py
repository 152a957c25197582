"""What is kept of a run: metrics, statistics, pictures."""

import resource

import numpy as np
import pytest
import scipy.stats

from steepest.core.errors import InputError, StorageFault
from steepest.runs import metrics
from steepest.runs.plot import learning_curve, plot_curves
from steepest.runs.statistics import bootstrap_interval, interquartile_mean


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


def test_a_column_that_comes_later_widens_the_table(tmp_path):
    """As where evaluations on the way begin, or a newer version measures more; and where one stops."""
    path = tmp_path / "metrics.csv"
    metrics.append(path, rows(0, 2))
    metrics.append(path, [row | {"evaluated_return": 7.0} for row in rows(0, 3, first=3)])
    fewer = [{name: value for name, value in row.items() if name != "kl"} for row in rows(0, 5, first=4)]
    metrics.append(path, fewer)
    metrics.cut(path, {0: 4})
    columns = metrics.read(path)
    assert columns["update"].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(columns["evaluated_return"], [np.nan, np.nan, 7, np.nan])
    np.testing.assert_array_equal(columns["kl"], [0.01, 0.01, 0.01, np.nan])
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("damage", ["0,2,x", "0,2,20,1,20,2,2,5,0.01,9", "", ",,,,,,,,", "0,2.5,20,1,20,2,2,5,0.01"])
def test_a_damaged_row_is_named_and_the_whole_ones_are_kept(tmp_path, damage):
    path = tmp_path / "metrics.csv"
    metrics.append(path, rows(0, 3))
    lines = path.read_text().splitlines()
    lines[2] = damage
    path.write_text("\n".join(lines) + "\n")
    before = path.read_bytes()
    with pytest.warns(RuntimeWarning, match=r"metrics.csv: line 3 is damaged, and left out"):
        assert metrics.read(path)["update"].tolist() == [1, 3]
    with pytest.warns(
        RuntimeWarning, match=r"line 3 is damaged. It is kept as metrics.damaged-1.csv; metrics.csv goes"
    ):
        assert metrics.cut(path, {0: 3}) == 1.5
    assert metrics.read(path)["update"].tolist() == [1, 3]
    assert (tmp_path / "metrics.damaged-1.csv").read_bytes() == before


@pytest.mark.parametrize("first", [None, "", "seed,updat", "seed,seed,update,steps", "\x00\x00", '"'])
def test_a_lost_header_is_named_and_what_every_table_has_is_kept(tmp_path, first):
    path = tmp_path / "metrics.csv"
    metrics.append(path, rows(0, 3))
    lines = path.read_text().splitlines()[1:]
    path.write_text("\n".join(lines if first is None else [first, *lines]) + "\n")
    with pytest.raises(InputError, match=r"metrics.csv: its first line is not the names of columns"):
        metrics.read(path)
    with pytest.raises(InputError, match="Restore that line"):
        metrics.append(path, rows(0, 4, first=4))
    with pytest.warns(RuntimeWarning, match=r"not the names of columns .* goes on with the 3 rows that are whole"):
        assert metrics.cut(path, {0: 3}) == 1.5
    metrics.append(path, rows(0, 4, first=4))
    columns = metrics.read(path)
    assert columns["update"].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(columns["kl"], [np.nan, np.nan, np.nan, 0.01])


def test_a_full_disk_leaves_no_half_row(tmp_path):
    path = tmp_path / "metrics.csv"
    metrics.append(path, rows(0, 3))
    before = path.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, limit[1]))
        for more in (rows(0, 6, first=4), [row | {"evaluated_return": 7.0} for row in rows(0, 6, first=4)]):
            with pytest.raises(StorageFault, match=r"metrics.csv: it cannot be written \(File too large\)"):
                metrics.append(path, more)
            assert len(metrics.read(path)["update"]) == 3
        assert [each.name for each in tmp_path.iterdir()] == ["metrics.csv"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    metrics.append(path, rows(0, 6, first=4))
    assert metrics.read(path)["update"].tolist() == [1, 2, 3, 4, 5, 6]


def test_a_last_row_that_a_crash_cut_short_is_left_out_though_it_has_all_its_cells(tmp_path):
    path = tmp_path / "metrics.csv"
    metrics.append(path, rows(0, 3))
    path.write_bytes(path.read_bytes()[:-2])  # 0.01 has become 0.0
    assert metrics.read(path)["update"].tolist() == [1, 2]
    assert metrics.cut(path, {0: 3}) == 1.0
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.parametrize("content", ["", "seed,update\n", "a,b\n1,2\n", "seed\nx\n", "\x00" * 9, "9" * 200_000])
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
