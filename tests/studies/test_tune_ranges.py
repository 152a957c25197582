"""What a search tries: ranges within bounds, values that fit each other, and what is asked for in words."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from steepest.algorithms import A2C, ALGORITHMS, PPO, TRPO
from steepest.algorithms.presets import preset, preset_names
from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete
from steepest.core.validation import Search, describe
from steepest.studies.ranges import Range, mended, program, sampled, search_space

BOX = Box(-1.0, 1.0, (1,))
SEARCHED = {each.name: each for kind in ALGORITHMS.values() for each in describe(kind) if each.search is not None}
BEGUN = [(name, {}) for name in ALGORITHMS] + [
    (name, preset(name, env)) for name, envs in preset_names().items() for env in envs
]


class Random:
    """Draws evenly, as a sampler does that has seen nothing."""

    def __init__(self, seed: int):
        self.generator = np.random.default_rng(seed)

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        if log:
            return float(np.exp(self.generator.uniform(math.log(low), math.log(high))))
        return float(self.generator.uniform(low, high))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return choices[self.generator.integers(len(choices))]


@pytest.mark.parametrize("name", sorted(SEARCHED))
def test_a_range_lies_within_the_bound(name):
    field = SEARCHED[name]
    search = field.search
    if search.choices:
        assert not field.choices or set(search.choices) <= set(field.choices)
    for each in search.choices or (search.low, search.high):
        if field.bound is not None:
            field.bound.check(name, each)
    assert not search.complement or search.high < 1


@pytest.mark.parametrize(("algorithm", "begun"), BEGUN, ids=str)
def test_the_search_begins_within_its_ranges(algorithm, begun):
    start = ALGORITHMS[algorithm](**begun)
    for each in search_space(start):
        value = getattr(start, each.name)
        assert value in each.choices if each.choices else each.low <= value <= each.high, each.name
        if not begun and not each.choices:
            search = SEARCHED[each.name].search
            assert search.low <= value <= search.high, f"the range of {each.name} leaves out a default"


@pytest.mark.parametrize(("algorithm", "begun"), BEGUN, ids=str)
def test_whatever_is_drawn_is_what_the_algorithm_can_have(algorithm, begun):
    start = ALGORITHMS[algorithm](**begun)
    space, random = search_space(start), Random(0)
    for _ in range(20):
        drawn = sampled(start, space, random)
        dataclasses.replace(start, **drawn)
        if (ratio := drawn.get("replay_ratio")) is not None:
            built = dataclasses.replace(start, **drawn)
            assert (ratio * built.steps_per_update).is_integer()
        for each in space:
            if not each.choices:
                assert each.low <= drawn[each.name] <= each.high


def test_a_value_that_is_drawn_has_few_digits_and_is_what_was_drawn():
    rate = Range("learning_rate", 1e-5, 1e-2, log=True)
    assert all(len(f"{rate.draw(Random(seed)):e}".split("e")[0].rstrip("0")) <= 4 for seed in range(20))
    discount = Range("discount", 0.9, 0.999, complement=True)
    assert discount.drawn(0.99) == 0.01
    assert all(0.9 <= discount.draw(Random(seed)) <= 0.999 for seed in range(20))
    assert np.median([discount.draw(Random(seed)) for seed in range(99)]) == pytest.approx(0.99, abs=0.005)


def test_minibatches_become_the_nearest_that_fit():
    assert mended(PPO(), {"minibatch_size": 100}) == {"minibatch_size": 128}
    start = PPO(num_envs=4, segment_length=200, minibatch_size=80)
    assert mended(start, {"minibatch_size": 256}) == {"minibatch_size": 200}
    assert mended(start, {"segment_length": 8}) == {"segment_length": 8, "minibatch_size": 32}


def test_what_is_off_stays_off_and_what_has_no_effect_is_not_searched():
    names = {each.name for each in search_space(PPO(), action=Discrete(2))}
    assert not names & {"kl_stop", "final_clip_radius", "value_clip_radius", "critic_learning_rate", "log_std"}
    assert "value_coefficient" not in names
    assert {each.name for each in search_space(PPO(shared_network=True, kl_stop=0.02), action=BOX)} >= {
        "value_coefficient",
        "kl_stop",
        "log_std",
    }
    assert "learning_rate" not in {each.name for each in search_space(PPO(), given=["learning_rate"])}


def test_rates_are_what_programs_share():
    rates = search_space(PPO(), which="rates")
    assert all(each.rate and not each.choices for each in rates)
    everything = search_space(PPO())
    assert {each.name for each in rates} == {each.name for each in everything if each.rate}
    one, other = (sampled(PPO(), everything, Random(seed)) for seed in (1, 2))
    assert program(everything, one) != program(everything, other)
    same = {name: one[name] if name not in {each.name for each in rates} else other[name] for name in one}
    assert program(everything, one) == program(everything, same)


def test_a_range_is_asked_for_in_words():
    found = search_space(
        TRPO(), asked=["damping=1e-4..1e-2", "critic-epochs=2..9", "hidden=64 64,32", "anneal=true,false", "kl_radius"]
    )
    damping, epochs, hidden, anneal, radius = found
    assert (damping.low, damping.high, damping.log, damping.rate) == (1e-4, 1e-2, True, True)
    assert epochs.choices == (2, 4, 8, 9)
    assert hidden.choices == ((64, 64), (32,))
    assert anneal.choices == (True, False)
    assert (radius.low, radius.high) == (1e-3, 0.1)
    assert all(hidden.draw(Random(seed)) in hidden.choices for seed in range(9))
    assert [Range.parse(each.dump()) for each in found] == list(found)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("rate=1..2", "unknown hyper-parameter of ppo 'rate'"),
        ("learning_rate=-1,2", "learning_rate is -1.0; it must be"),
        ("learning_rate=2..1", "it must be two numbers"),
        ("learning_rate=a..b", "it must be two numbers"),
        ("discount=0.9..1.5", "discount is 1.5; it must be"),
        ("epochs=2.5..8", "epochs is 2.5; it must be a whole number"),
        ("anneal=perhaps", "anneal is 'perhaps'; it must be True or False"),
        ("anneal=0..1", "Give choices"),
        ("gaussian=round", "gaussian is 'round'; it must be"),
        ("hidden", "hidden has no range of its own"),
    ],
)
def test_what_cannot_be_searched_is_told_in_one_line(asked, said):
    with pytest.raises(InputError, match=r"^[^\n]+$") as raised:
        search_space(PPO(), asked=[asked])
    assert said in str(raised.value)


def test_nothing_is_searched_twice_and_something_must_be():
    with pytest.raises(InputError, match="epochs is there twice"):
        search_space(PPO(), asked=["epochs=2,4", "epochs=8"])
    names = [each.name for each in search_space(A2C())]
    with pytest.raises(InputError, match="nothing of a2c is left"):
        search_space(A2C(), given=names)


def test_a_range_that_holds_nothing_is_no_range():
    with pytest.raises(ValueError, match="nothing to find"):
        Search(2.0, 1.0)
    with pytest.raises(ValueError, match="nothing to find"):
        Search(0.0, 1.0, log=True)
