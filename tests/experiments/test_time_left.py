"""The time left, by a clock that stands where it is put."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress
from written_runs import configuration

from steepest.experiments import progress, time_left
from steepest.experiments.progress import ProgressDisplay
from steepest.experiments.time_left import Pace, TimeLeft
from steepest.studies.tune_display import TuneDisplay


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(time_left, "time", clock)
    return clock


def test_what_takes_long_has_a_time_left_which_grows_where_nothing_goes_on(clock):
    pace = Pace()
    assert pace.left(3) is None
    clock.now += 600
    pace.report(1)
    assert pace.left(3) == pytest.approx(1200)
    clock.now += 300
    assert pace.left(3) == pytest.approx(1800)
    pace.report(2)
    assert pace.left(3) == pytest.approx(450)  # of all that was done, what took longest included
    pace.report(3)
    assert pace.left(3) == 0


def test_what_was_done_before_is_not_counted(clock):
    pace = Pace(50)
    clock.now += 10
    pace.report(60)
    assert pace.left(100) == pytest.approx(40)


def test_a_compilation_counts_until_there_is_more_to_go_by(clock):
    pace = Pace(warms_up=True)
    clock.now += 90
    pace.report(10)
    clock.now += 10
    assert pace.left(100) == pytest.approx(900)
    pace.report(20)
    assert pace.left(100) == pytest.approx(80)


def test_a_bar_shows_it(clock):
    file = io.StringIO()
    bars = Progress(TimeLeft(), console=Console(file=file, force_terminal=True, width=40), auto_refresh=False)
    with bars:
        pace = Pace()
        task = bars.add_task("", total=4, pace=pace)
        bars.refresh()
        clock.now += 100
        pace.report(1)
        bars.update(task, completed=1)
        bars.refresh()
    shown = file.getvalue()
    assert shown.index("--:--") < shown.index("05:00")


def test_lines_say_it_where_there_is_no_terminal(clock, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_LINE_EVERY", 0.0)
    display = ProgressDisplay(configuration(total_steps=100), show=True)
    row = {"seed": 0, "episodes": 0, "steps_per_second": 1.0}
    clock.now += 60
    display.rows([row | {"steps": 10}])
    clock.now += 45
    display.rows([row | {"steps": 20}])
    tuning = TuneDisplay(show=True)
    tuning.phase("fresh seeds", 10, 4)
    clock.now += 45
    tuning._told = -1e9
    tuning.advance("one more")
    found = capsys.readouterr().err.splitlines()
    assert [line.rsplit(", ", 1)[1] for line in found] == ["09:00 left", "06:00 left", "03:45 left"]
