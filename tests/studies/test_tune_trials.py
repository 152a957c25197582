"""The journal of trials: one search goes on whoever works on it, and a trial ends when its seeds are enough."""

import contextlib
import inspect
import math
import os
import subprocess
import sys

import pytest

from steepest.algorithms import PPO
from steepest.core.errors import InputError
from steepest.studies.ranges import search_space
from steepest.studies.trials import Trials, threshold, whole_lines

BEGIN = PPO()
SPACE = search_space(BEGIN, asked=["learning_rate=1e-5..1e-1", "epochs=2..16"])
SEEDS = (0, 1, 2)


def opened(tmp_path, **more):
    return Trials(tmp_path, begin=BEGIN, space=SPACE, seeds=SEEDS, **more)


def worth(hyper, seed):
    return -abs(math.log10(hyper["learning_rate"] / 1e-3)) + 0.01 * seed


def work(trials, most):
    """Make trials until there are enough, with an objective that costs nothing."""
    made = []
    while (trial := trials.ask(most)) is not None:
        left = [seed for seed in SEEDS if seed not in trial.returns]
        pruned = any(trials.report(trial.number, seed, worth(trial.hyper, seed)) for seed in left)
        made.append(trials.finish(trial.number, pruned=pruned))
    return made


def test_a_search_begins_where_it_is_told_to_and_finds_more(tmp_path):
    with opened(tmp_path) as trials:
        made = work(trials, 20)
    assert made[0].hyper == {"learning_rate": BEGIN.learning_rate, "epochs": 8}  # the nearest to 10 that is searched
    assert [each.number for each in made] == list(range(20))
    best = max(made, key=lambda each: each.mean)
    assert best.state == "complete"
    assert best.mean > made[0].mean
    assert len({str(each.hyper) for each in made}) == 20


def test_a_trial_that_is_worse_ends_before_its_last_seed(tmp_path):
    with opened(tmp_path) as trials:
        first = trials.ask(9)
        assert not any(trials.report(first.number, seed, 10.0 + seed) for seed in SEEDS)
        trials.finish(first.number)
        second = trials.ask(9)
        assert not trials.report(second.number, 0, 1.0)
        assert trials.report(second.number, 1, 2.0)
        ended = trials.finish(second.number, pruned=True)
        assert (ended.state, ended.mean) == ("pruned", 1.5)
        third = trials.ask(9)
        assert not any(trials.report(third.number, seed, 20.0 + seed) for seed in SEEDS)


def test_with_few_seeds_all_but_the_last_must_be_worse():
    assert [threshold(seeds) > 0.5 ** max(2, seeds - 1) for seeds in (1, 2, 3, 4)] == [True] * 4
    assert threshold(3) < 0.5
    assert threshold(10) == 0.1


def test_a_search_that_goes_on_repeats_nothing(tmp_path):
    with opened(tmp_path) as trials:
        before = work(trials, 6)
    with opened(tmp_path) as trials:
        assert work(trials, 6) == []
        after = work(trials, 9)
        assert trials.all() == before + after
    assert [each.number for each in after] == [6, 7, 8]
    assert not {str(each.hyper) for each in before} & {str(each.hyper) for each in after}


def test_what_a_process_that_was_killed_has_left_is_gone_on_with(tmp_path):
    trials = opened(tmp_path)
    trials.__enter__()
    left = trials.ask(4)
    trials.report(left.number, 0, 3.0)
    with opened(tmp_path) as other:
        assert other.ask(4).number == 1  # the first is being worked on
        assert other.elsewhere() == 1
        os.close(trials._held)  # what the operating system does where a process ends
        assert other.elsewhere() == 0
        again = other.ask(4)
        assert (again.number, again.hyper, again.returns) == (left.number, left.hyper, {0: 3.0})
        for seed in (1, 2):
            other.report(again.number, seed, 6.0)
        assert other.finish(again.number).mean == 5.0


def test_processes_share_a_search(tmp_path):
    program = inspect.getsource(sys.modules[__name__]).split("def test_")[0]
    program += (
        f"\nimport pathlib\nwith opened(pathlib.Path({str(tmp_path)!r})) as trials:\n    print(len(work(trials, 16)))"
    )
    both = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    made = [int(each.communicate()[0]) for each in both]
    with opened(tmp_path) as trials:
        known = trials.all()
    assert sum(made) == len(known) == 16
    assert len({str(each.hyper) for each in known}) == 16
    assert all(each.state in ("complete", "pruned") for each in known)


def test_a_trial_that_failed_says_why_and_counts(tmp_path):
    with opened(tmp_path) as trials:
        trial = trials.ask(1)
        failed = trials.fail(trial.number, "learning rate\nis not finite")
        assert (failed.state, failed.reason) == ("failed", "learning rate is not finite")
        assert math.isnan(failed.mean)
        assert trials.ask(1) is None


def test_a_setting_that_the_algorithm_cannot_have_fails_with_its_reason(tmp_path):
    space = search_space(PPO(value_clip_radius=0.2), asked=["shared_network=true,false"])
    with Trials(tmp_path, begin=PPO(value_clip_radius=0.2), space=space, seeds=SEEDS) as trials:
        states = {}
        for _ in range(12):
            trial = trials.ask(12)
            states[trial.hyper["shared_network"]] = trial
            if trial.state == "running":
                trials.report(trial.number, 0, 1.0)
                trials.finish(trial.number)
    assert states[True].state == "failed"
    assert "value_clip_radius limits a critic of its own" in states[True].reason
    assert states[False].state == "running"


def test_half_a_line_is_cut_off_and_the_rest_is_kept(tmp_path):
    with opened(tmp_path) as trials:
        before = work(trials, 3)
    journal = tmp_path / "trials.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"wor')
    with opened(tmp_path) as trials:
        assert trials.all() == before
        work(trials, 4)
    whole_lines(journal)
    with opened(tmp_path) as trials:
        assert len(trials.all()) == 4


@pytest.mark.parametrize("content", [b"nonsense\n", b'{"op_code":0}\n', b"\x80\x04K\x01.\n", b"[1]\n"])
def test_a_file_that_is_no_journal_is_told_in_one_line(tmp_path, content):
    (tmp_path / "trials.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=r"^[^\n]*trials\.jsonl: it is no journal of a search[^\n]*$"):
        opened(tmp_path)


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    import pickle

    def refuse(*_, **__):
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    with opened(tmp_path) as trials:
        work(trials, 3)
    with opened(tmp_path) as trials, contextlib.suppress(StopIteration):
        work(trials, 4)
        assert len(trials.all()) == 4
