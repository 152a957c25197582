"""Random tabular problems and policies, in batches."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from steepest.core.types import AnyArray
from steepest.oracles import random_mdp


class Tables(NamedTuple):
    """The arrays of B tabular problems, in the order in which `TabularMDP` takes them."""

    transition: Float[AnyArray, "*B S A S"]
    reward: Float[AnyArray, "*B S A"]
    initial: Float[AnyArray, "*B S"]
    discount: Float[AnyArray, "*B"]


def random_tables(
    rng: np.random.Generator, count: int, states: int, actions: int, *, branching: int | None = None
) -> Tables:
    """Random MDPs with normal rewards, and discounts between 0.5 and 0.99."""
    every = [random_mdp(rng, states, actions, branching=branching) for _ in range(count)]
    return Tables(
        np.stack([each.transition for each in every]),
        np.stack([each.reward for each in every]),
        np.stack([each.initial for each in every]),
        rng.uniform(0.5, 0.99, count),
    )


def random_probabilities(rng: np.random.Generator, count: int, states: int, actions: int) -> Float[np.ndarray, "B S A"]:
    """Random policies, uniform on the simplex."""
    return rng.dirichlet(np.ones(actions), (count, states))
