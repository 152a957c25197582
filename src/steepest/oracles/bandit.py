"""The multi-armed bandit, as a tabular problem."""

from steepest.oracles.checks import checked_array
from steepest.oracles.tabular import TabularMDP


def bandit(reward) -> TabularMDP:
    """A bandit: an MDP with one state, A actions and one step, J = Σ π(a) r(a).

    **Arguments**

    - `reward`: the mean reward of each action, [A].

    **Example** The two actions of T6, at even odds:

    >>> import numpy as np
    >>> float(bandit([100.0, 1.0]).performance(np.array([[0.5, 0.5]])))
    50.5
    """
    reward = checked_array("reward", reward, (None,))
    return TabularMDP([[[1.0]] * len(reward)], [reward], [1.0], discount=1.0, horizon=1)
