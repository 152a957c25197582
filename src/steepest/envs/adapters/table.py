"""The transition tables of Gymnasium's tabular environments."""

import gymnasium
import numpy as np
from jaxtyping import Bool, Float

from steepest.core.errors import InputError, unknown
from steepest.envs.adapters.gymnasium import known_ids, without_noise


def transition_table(
    id: str,  # noqa: A002
) -> tuple[
    Float[np.ndarray, "S A S"], Float[np.ndarray, "S A"], Float[np.ndarray, " S"], Bool[np.ndarray, "S A"] | None
]:
    """The transition probabilities, mean rewards, initial probabilities and action masks of a tabular environment.

    The last are None where it has no method `action_mask(state)`, as Taxi has.

    States that end an episode are absorbing here: they stay, and pay 0. Where this version of Gymnasium has another
    version of the environment than `id` names, that one is taken instead.

    **Raises** `InputError` for an environment that is not registered, or has no table.
    """
    with without_noise():
        env = gymnasium.make(_registered(id), disable_env_checker=True)
    try:
        table = getattr(env.unwrapped, "P", None)
        initial = getattr(env.unwrapped, "initial_state_distrib", None)
        mask = getattr(env.unwrapped, "action_mask", None)
    finally:
        env.close()
    if table is None or initial is None:
        raise InputError(f"environment {id} has no table. Take FrozenLake-v1, Taxi-v3 or CliffWalking-v1.")
    states, actions = len(table), len(table[0])
    transition, reward = np.zeros((states, actions, states)), np.zeros((states, actions))
    ends = np.zeros(states, bool)
    for state, choices in table.items():
        for action, outcomes in choices.items():
            for probability, successor, gain, done in outcomes:
                transition[state, action, successor] += probability
                reward[state, action] += probability * gain
                ends[successor] |= done
    transition[ends], reward[ends] = np.eye(states)[ends][:, None, :], 0
    masks = None if mask is None else np.array([mask(state) for state in range(states)], bool)
    return transition, reward, np.asarray(initial, np.float64), masks


def _registered(id: str) -> str:  # noqa: A002
    if id in gymnasium.registry:
        return id
    name = id.rsplit("-v", 1)[0]
    versions = [each for each in known_ids() if each.rsplit("-v", 1)[0] == name and "/" not in each]
    if not versions:
        raise unknown("environment", id, known_ids())
    return max(versions, key=lambda each: int(each.rsplit("-v", 1)[1]))
