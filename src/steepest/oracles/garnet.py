"""Random tabular problems (Garnets), seen and partially observed."""

import jax
import numpy as np
from jaxtyping import Array, Key

from steepest.core.validation import check_number
from steepest.oracles.partially_observed import TabularPOMDP
from steepest.oracles.tabular import TabularMDP


def random_mdp(
    seed: int | np.random.Generator | Key[Array, ""],
    states: int,
    actions: int,
    *,
    branching: int | None = None,
    concentration: float = 1.0,
    reward_scale: float = 1.0,
    discount: float = 0.9,
    horizon: int | None = None,
) -> TabularMDP:
    """A random MDP (Garnet): Dirichlet probabilities of few successors, normal rewards, a random initial distribution.

    **Arguments**

    - `seed`: a number, a key of JAX, or a generator of NumPy, which is advanced.
    - `branching`: successors of each pair of state and action; all states, when left out.
    - `concentration`: of the Dirichlet distributions: small ones give nearly deterministic transitions.
    - `reward_scale`: standard deviation of the rewards.

    **Reference** Archibald, McKinnon, Thomas, *On the generation of Markov decision processes*, 1995.
    """
    check_number("states", states, at_least=1, whole=True, remedy="Give a positive number.")
    check_number("actions", actions, at_least=1, whole=True, remedy="Give a positive number.")
    remedy = f"Give at most the {states} states, or leave it out."
    check_number("branching", branching, at_least=1, at_most=states, whole=True, remedy=remedy)
    check_number("concentration", concentration, above=0, remedy="1 is uniform.")
    check_number("reward_scale", reward_scale, above=0, remedy="1 is usual.")
    if isinstance(seed, jax.Array):
        seed = np.random.default_rng(np.asarray(jax.random.key_data(seed)).ravel())
    rng = np.random.default_rng(seed)
    branching = states if branching is None else branching
    transition = np.zeros((states, actions, states))
    successors = np.argsort(rng.random(transition.shape), axis=-1)[..., :branching]
    probabilities = rng.dirichlet(np.full(branching, concentration), (states, actions))
    np.put_along_axis(transition, successors, probabilities, axis=-1)
    reward = reward_scale * rng.standard_normal((states, actions))
    return TabularMDP(transition, reward, rng.dirichlet(np.ones(states)), discount, horizon)


def random_pomdp(
    seed: int | np.random.Generator,
    states: int,
    observations: int,
    actions: int,
    *,
    horizon: int,
    discount: float = 0.9,
    concentration: float = 1.0,
) -> TabularPOMDP:
    """A random partially observed problem: a Garnet, of whose states random observations are seen.

    **Arguments**

    - `seed`: a number, or a generator of NumPy, which is advanced.
    - `concentration`: of the Dirichlet distributions, also of the observations in a state: small ones nearly tell it.
    """
    check_number("observations", observations, at_least=1, whole=True, remedy="Give a positive number.")
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, states, actions, concentration=concentration, discount=discount, horizon=horizon)
    return TabularPOMDP(mdp, rng.dirichlet(np.full(observations, concentration), states))
