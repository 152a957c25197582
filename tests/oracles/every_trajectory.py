"""Every trajectory of a small problem with its probability: the answers that need no theory."""

import itertools

import numpy as np


def trajectories(mdp, probs, steps):
    """Yields the probability, states [T + 1], actions [T] and rewards [T] of everything that can happen."""
    for states in itertools.product(range(mdp.states), repeat=steps + 1):
        for actions in itertools.product(range(mdp.actions), repeat=steps):
            probability = mdp.initial[states[0]]
            for state, action, successor in zip(states, actions, states[1:], strict=False):
                probability *= probs[state, action] * mdp.transition[state, action, successor]
            if probability > 0:
                rewards = [mdp.reward[state, action] for state, action in zip(states, actions, strict=False)]
                yield probability, np.array(states), np.array(actions), np.array(rewards)


def discounted(rewards, discount):
    return float(np.sum(rewards * discount ** np.arange(len(rewards))))
