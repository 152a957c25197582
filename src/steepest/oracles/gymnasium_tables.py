"""Gymnasium's tabular environments as exactly solvable MDPs."""

from steepest.envs.adapters.table import transition_table
from steepest.oracles.tabular import TabularMDP


def gymnasium_mdp(
    id: str,  # noqa: A002
    *,
    discount: float,
    horizon: int | None = None,
    action_masks: bool = False,
) -> TabularMDP:
    """The tabular MDP of a Gymnasium environment that has a transition table, such as FrozenLake-v1 or Taxi-v3.

    Numbers of states and actions are those of the environment. Rewards are means given state and action, and the
    states that end an episode are absorbing.

    **Arguments**

    - `id`: of the environment. If Gymnasium has another version of it, that one is taken.
    - `discount`, `horizon`: as in `TabularMDP`; the environment's own time limit is not part of the table.
    - `action_masks`: take its action masks where it has them, as Taxi does.
    """
    transition, reward, initial, masks = transition_table(id)
    return TabularMDP(transition, reward, initial, discount, horizon, masks if action_masks else None)
