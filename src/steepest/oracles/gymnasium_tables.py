"""Gymnasium's tabular environments as exactly solvable MDPs."""

from steepest.envs.adapters.table import transition_table
from steepest.oracles.tabular import TabularMDP


def gymnasium_mdp(id: str, *, discount: float, horizon: int | None = None) -> TabularMDP:  # noqa: A002
    """The tabular MDP of a Gymnasium environment that has a transition table, such as FrozenLake-v1 or Taxi-v3.

    Numbers of states and actions are those of the environment. Rewards are means given state and action, and the
    states that end an episode are absorbing.

    **Arguments**

    - `id`: of the environment. If Gymnasium has another version of it, that one is taken.
    - `discount`, `horizon`: as in `TabularMDP`; the environment's own time limit is not part of the table.
    """
    return TabularMDP(*transition_table(id), discount, horizon)
