"""The loop of a search, with a trainer that costs nothing, and the answer: fresh seeds, defaults, a block of TOML."""

import collections
import dataclasses
import itertools
import json
import math

import numpy as np
import pytest

from steepest.algorithms import PPO
from steepest.algorithms.presets import parse
from steepest.core.errors import InputError
from steepest.studies.answer import Answer, Contender, contenders, fresh_runs, ranked
from steepest.studies.ranges import search_space
from steepest.studies.searching import SearchLoop
from steepest.studies.trainers import AbstractTrainer, Reached
from steepest.studies.trials import Trial, Trials
from steepest.studies.tune_display import TuneDisplay
from steepest.studies.tune_figures import draw_answer, draw_trials
from steepest.studies.tune_settings import TuneSettings, keep

SPACE = search_space(PPO(), asked=["learning_rate=1e-5..1e-1", "discount"])
SETTINGS = TuneSettings(
    algorithm="ppo",
    env="CartPole-v1",
    begin={"hidden": (8,)},
    preset={},
    space=SPACE,
    seeds=(0, 1, 2),
    fresh_seeds=(3, 4, 5, 6),
    options={"total_steps": 1000, "evaluation_episodes": 10},
)


class Cheap(AbstractTrainer):
    """Says at once what a setting is worth; `wrong` are trials that fail, and `last` how many trainings there are."""

    def __init__(self, room=2, wrong=(), last=math.inf):
        self.room, self.wrong, self.last = room, wrong, last
        self.waiting, self.trained, self.most = collections.deque(), [], 0

    @property
    def idle(self):
        return self.room - len(self.waiting)

    def submit(self, training):
        self.waiting.append(training)
        self.most = max(self.most, len({each.trial for each in self.waiting}))

    def ended(self, stop):
        while self.waiting:
            training = self.waiting.popleft()
            if stop() or len(self.trained) >= self.last:
                yield Reached(training, None)
                continue
            self.trained.append((training.trial, training.seed))
            if training.trial in self.wrong:
                yield Reached(training, None, "value loss is not finite")
            else:
                yield Reached(
                    training, -abs(math.log10(training.hyper.get("learning_rate", 3e-4) / 1e-3)) + training.seed
                )

    def close(self):
        pass


def searched(tmp_path, trainer, most=8, **more):
    options = {"at_once": 2, "stop": lambda: False} | more
    with (
        Trials(tmp_path, begin=SETTINGS.start, space=SPACE, seeds=SETTINGS.seeds) as trials,
        TuneDisplay(show=False) as it,
    ):
        loop = SearchLoop(SETTINGS, trials, trainer, it, most=most, **options)
        loop.run()
        return trials.all()


def test_every_trial_has_its_seeds_in_order_unless_it_ended_before(tmp_path):
    trainer = Cheap()
    found = searched(tmp_path, trainer)
    assert len(found) == 8
    assert trainer.most <= 2
    assert any(each.state == "pruned" for each in found)
    for each in found:
        order = [seed for trial, seed in trainer.trained if trial == each.number]
        assert order == ([0, 1, 2] if each.state == "complete" else [0, 1])


def test_seeds_go_side_by_side_where_there_is_room(tmp_path):
    trainer = Cheap(room=6)
    assert len(searched(tmp_path, trainer, most=4)) == 4
    assert trainer.trained[:6] == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)] or len(trainer.trained) >= 8
    assert trainer.most <= 2


def test_a_trial_that_fails_is_named_and_the_others_go_on(tmp_path):
    found = searched(tmp_path, Cheap(room=4, wrong={1, 3}), most=6)
    assert [each.state == "failed" for each in found] == [False, True, False, True, False, False]
    assert found[1].reason == "value loss is not finite"


def test_what_was_interrupted_is_gone_on_with_and_nothing_is_trained_twice(tmp_path):
    first, second = Cheap(last=7), Cheap()
    before = searched(tmp_path, first)
    assert any(each.state == "running" for each in before)
    after = searched(tmp_path, second)
    assert all(each.state != "running" for each in after)
    assert len(after) == 8
    assert not set(first.trained) & set(second.trained)


def test_nothing_begins_once_time_is_up(tmp_path):
    left = itertools.chain([9.0] * 6, itertools.repeat(0.0))
    trainer = Cheap()
    found = searched(tmp_path, trainer, most=1000, time_left=lambda: next(left))
    assert len(found) < 5
    assert searched(tmp_path, Cheap(), most=3, stop=lambda: True)[:1] == found[:1]


def trial(number, rate, *returns, state="complete"):
    return Trial(number, {"learning_rate": rate, "discount": 0.98}, dict(enumerate(returns)), state)


TRIALS = [
    Trial(0, {"learning_rate": 3e-4, "discount": 0.99}, {0: 9.0, 1: 9.0, 2: 9.0}, "complete"),
    trial(1, 1e-3, 5.0, 6.0, 7.0),
    trial(2, 1e-3, 5.0, 6.0, 7.0),
    trial(3, 2e-3, 8.0, 8.0, state="pruned"),
    trial(4, 3e-3, 1.0, 2.0, 3.0),
    Trial(5, {"learning_rate": 1.0, "discount": 0.9}, {0: 1.0}, "failed", "diverged"),
    Trial(6, {"learning_rate": 0.5, "discount": 0.9}, {0: 9.0}, "running"),
]


def answered(*values, seeds=SETTINGS.fresh_seeds):
    best, defaults = contenders(SETTINGS, TRIALS)
    each = [*best, *defaults]
    told = [
        dataclasses.replace(one, returns=dict(zip(seeds, returns, strict=False)))
        for one, returns in zip(each, values, strict=True)
    ]
    return Answer(SETTINGS, ranked(told[: len(best)]), tuple(told[len(best) :]), {"complete": 4}, {})


def test_the_best_are_trained_again_and_so_are_the_defaults():
    best, defaults = contenders(SETTINGS, TRIALS)
    assert [each.name for each in best] == ["trial-2", "trial-5", "trial-4"]
    assert [each.name for each in defaults] == ["paper", "begin"]
    assert (defaults[0].hyper, defaults[1].hyper) == ({}, {"hidden": (8,)})
    many = [trial(number, 1e-3 + 1e-5 * number, 1.0, 2.0, float(number)) for number in range(20)]
    assert [each.name for each in contenders(SETTINGS, many)[0]] == [f"trial-{number}" for number in range(20, 15, -1)]


def test_no_seed_of_the_search_judges():
    runs = [run for each in contenders(SETTINGS, TRIALS)[0] for run in fresh_runs(SETTINGS, each)]
    assert {run.seed for run in runs} == set(SETTINGS.fresh_seeds)
    assert not {run.seed for run in runs} & set(SETTINGS.seeds)
    assert len({run.name for run in runs}) == len(runs)


def test_the_best_on_fresh_seeds_wins_whatever_the_search_saw():
    answer = answered([1, 2, 3, 4], [7, 7, 8, 8], [5, 5, 5, 5], [1, 1, 1, 9], [2, 2, 2, 2])
    assert [each.name for each in answer.contenders] == ["trial-5", "trial-4", "trial-2"]
    assert answer.best.name == "trial-5"
    assert answer.best.improvement(answer.defaults[0])[0] == 0.75
    assert answer.beaten
    assert not answered([1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [2, 2, 2, 2], [0, 0, 0, 0]).beaten


def test_who_failed_a_seed_does_not_win():
    answer = answered([1, 2, 3, 4], [9, 9, 9], [5, 5, 5, 5], [1, 1, 1, 1], [2, 2, 2, 2])
    assert answer.best.name == "trial-4"
    none = answered([], [9], [], [1, 1, 1, 1], [2, 2, 2, 2])
    assert none.best is None
    assert none.block() == ""
    assert json.loads(json.dumps(none.to_json()))["best"] is None


def test_the_block_is_one_of_presets_with_its_evidence():
    answer = answered([1, 2, 3, 4], [7, 7, 8, 8], [5, 5, 5, 5], [1, 1, 1, 9], [2, 2, 2, 2])
    block = answer.block()
    found = parse(block)
    assert found == {"ppo": {"CartPole-v1": {"discount": 0.98, "learning_rate": 3e-3, "hidden": (8,)}}}
    assert PPO(**found["ppo"]["CartPole-v1"]).hidden == (8,)
    told = " ".join(line.removeprefix("#").strip() for line in block.splitlines() if line.startswith("#"))
    for text in ("4 trials", "1,000 steps", "seeds 0 to 2", "seeds 3 to 6", "interquartile mean 7.5", "7.0, 7.0, 8.0"):
        assert text in told, text
    assert "probability of improvement over that: 0.75" in told
    assert json.loads(json.dumps(answer.to_json()))["best"]["iqm"] == 7.5


def test_settings_come_back_as_they_were_and_others_are_refused(tmp_path):
    keep(SETTINGS, tmp_path)
    assert TuneSettings.parse(SETTINGS.dump()) == SETTINGS
    keep(SETTINGS, tmp_path)
    for change, said in (
        ({"seeds": (0, 1)}, r"seeds was \[0, 1, 2\] and is now \[0, 1\]"),
        ({"options": SETTINGS.options | {"total_steps": 5}}, "total_steps was 1000 and is now 5"),
        ({"space": SPACE[:1]}, "it searched learning_rate from 1e-05 to 0.1, discount"),
    ):
        with pytest.raises(InputError, match=said):
            keep(dataclasses.replace(SETTINGS, **change), tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    with pytest.raises(InputError, match="not empty, and no search"):
        keep(SETTINGS, other)


@pytest.mark.parametrize(
    "change",
    [
        b"{",
        b"[]",
        b"{}",
        SETTINGS.dump().replace(b'"ppo"', b'"nonsense"'),
        SETTINGS.dump().replace(b'"seeds": [', b'"seeds": ["a",'),
        SETTINGS.dump().replace(b'"low"', b'"lowest"'),
    ],
)
def test_damaged_settings_are_told(tmp_path, change):
    (tmp_path / "tune.json").write_bytes(change)
    with pytest.raises(InputError, match=r"^[^\n]*tune\.json[^\n]*$"):
        keep(SETTINGS, tmp_path)


def test_pictures_are_drawn_of_whatever_was_searched(tmp_path):
    space = search_space(PPO(), asked=["learning_rate=1e-5..1e-1", "epochs=2..8", "discount", "hidden=8,8 8"])
    trials = [
        Trial(number, {"learning_rate": 1e-3, "epochs": epochs, "discount": 0.99, "hidden": (8,)}, {0: 1.0}, "complete")
        for number, epochs in enumerate((2, 4, 8))
    ]
    draw_trials(trials, space, "title", tmp_path / "trials.png", best=[1])
    answer = answered([1, 2, 3, 4], [7, 7, 8, 8], [5, 5, 5, 5], [1, 1, 1, 9], [])
    draw_answer(answer, "title", tmp_path / "answer.png")
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("trials.png", "answer.png"))


def test_an_interval_needs_seeds():
    assert math.isnan(Contender("trial-1", {}).iqm)
    one = Contender("trial-1", {}, returns={3: 1.0, 4: 2.0})
    assert np.isnan(one.improvement(Contender("paper", {}))).all()
