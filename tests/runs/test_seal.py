"""What was written of the metrics is what is read, or it is said."""

import warnings

import pytest

from steepest.core.errors import StorageFault
from steepest.runs import metrics
from steepest.runs.listeners import MetricsTable
from steepest.runs.seal import Seal


def row(update, **more):
    numbers = {"steps": 10 * update, "wall_time": update, "steps_per_second": 1.0, "episodes": 1, "return": 25.0}
    return {"seed": 0, "update": update, "length": 25.0} | numbers | more


@pytest.fixture
def table(tmp_path):
    """Five rows that a checkpoint followed, and one that came later."""
    table = MetricsTable(tmp_path / "metrics.csv")
    for update in range(1, 6):
        table.rows([row(update)])
        table.flush()
    table.rows([row(6)])
    return tmp_path / "metrics.csv"


def says_nothing(path, updates=6):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(metrics.read(path)["update"]) == updates


def test_a_table_that_grows_keeps_its_seal(table):
    says_nothing(table)


def test_another_digit_is_said_by_what_reads_it_and_by_what_goes_on_with_it(table):
    table.write_bytes(table.read_bytes().replace(b"25", b"75", 1))
    with pytest.warns(RuntimeWarning, match=r"metrics.csv: it has changed since it was written"):
        assert len(metrics.read(table)["update"]) == 6
    with pytest.warns(RuntimeWarning, match="it has changed since it was written"):
        metrics.cut(table, {0: 6})
    says_nothing(table)  # it was said


@pytest.mark.parametrize(
    "damage", [b"", b"\xff\xfe", b"1234 5678\n", b"0" * 64 + b" 99999999999999999999\n", b"x" * 999]
)
def test_a_damaged_seal_is_said_too(table, damage):
    Seal(table).path.write_bytes(damage)
    with pytest.warns(RuntimeWarning, match="it has changed"):
        metrics.read(table)


def test_a_table_that_is_written_anew_has_no_seal_until_it_is_sealed_again(table):
    metrics.append(table, [row(7, evaluated_return=1.0)])  # which widens it
    assert not Seal(table).path.exists()
    says_nothing(table, 7)
    listener = MetricsTable(table)
    listener.flush()
    assert Seal(table).path.exists()
    says_nothing(table, 7)
    metrics.cut(table, {0: 3})
    says_nothing(table, 3)
    listener.rows([row(4)])
    listener.flush()  # the same object, which had read more than there is now
    says_nothing(table, 4)
    table.write_bytes(table.read_bytes().replace(b"25", b"75", 1))
    assert Seal(table).broken()


def test_a_table_without_a_seal_is_as_it_is(table):
    Seal(table).path.unlink()
    table.write_bytes(table.read_bytes().replace(b"25", b"75", 1))
    says_nothing(table)


def test_where_it_cannot_be_written_it_is_one_line(table, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StorageFault, match=r"sha256: it cannot be written \(No space left on device\)"):
        Seal(table).write()
