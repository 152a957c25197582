"""Decision processes of three states, solved in float64, and all of their trajectories with their probabilities."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from steepest.core.spaces import Discrete, Spec
from steepest.core.trajectory import Trajectory
from steepest.critics import StateValue


@dataclasses.dataclass(frozen=True)
class Process:
    """`chance`, `reward` and whether it `ends`, of each state, action and successor: [S, A, S]."""

    chance: np.ndarray
    reward: np.ndarray
    ends: np.ndarray

    def state_value(self, policy, discount):
        """V = (I − γP)⁻¹ r, where P leaves out what terminates."""
        onward = np.einsum("sa,sap->sp", policy, self.chance * ~self.ends)
        earned = np.einsum("sa,sap,sap->s", policy, self.chance, self.reward)
        return np.linalg.solve(np.eye(len(onward)) - discount * onward, earned)

    def action_value(self, policy, discount):
        """Q(s,a) = Σ P(s'|s,a) (r + γ (1 − terminated) V(s'))."""
        return self.backup(self.state_value(policy, discount), discount)

    def backup(self, value, discount):
        return np.sum(self.chance * (self.reward + discount * ~self.ends * value[None, None, :]), axis=2)

    def value_by_time(self, policy, discount, horizon):
        """V(t, s) of what is earned in the steps t … horizon − 1, [horizon, S]."""
        table = np.zeros((horizon + 1, len(policy)))
        for time in reversed(range(horizon)):
            table[time] = np.sum(policy * self.backup(table[time + 1], discount), axis=1)
        return table[:-1]


def _process(outcomes, states=3, actions=2):
    """From `{(s, a): [(probability, s', reward, terminated), …]}`."""
    chance, reward = np.zeros((2, states, actions, states))
    ends = np.zeros((states, actions, states), bool)
    for (state, action), each in outcomes.items():
        for probability, successor, earned, terminated in each:
            index = state, action, successor
            chance[index], reward[index], ends[index] = probability, earned, terminated
    return Process(chance, reward, ends)


CYCLE = _process(
    {
        (0, 0): [(0.7, 1, 2.0, False), (0.3, 0, 1.0, False)],
        (0, 1): [(1.0, 2, -1.0, False)],
        (1, 0): [(0.5, 2, 4.0, False), (0.5, 0, 0.5, True)],
        (1, 1): [(0.6, 0, 1.0, False), (0.4, 1, 2.5, False)],
        (2, 0): [(1.0, 0, 3.0, False)],
        (2, 1): [(0.8, 1, -2.0, False), (0.2, 2, 5.0, True)],
    }
)
"""It may go on for ever."""

LADDER = _process(
    {
        (0, 0): [(0.7, 1, 1.0, False), (0.3, 2, 0.0, False)],
        (0, 1): [(0.5, 2, -1.0, False), (0.5, 0, 4.0, True)],
        (1, 0): [(1.0, 2, 2.0, False)],
        (1, 1): [(0.6, 2, 0.0, False), (0.4, 0, 3.0, True)],
        (2, 0): [(1.0, 0, -2.0, True)],
        (2, 1): [(0.5, 1, 3.0, True), (0.5, 2, 5.0, True)],
    }
)
"""Every episode terminates within three steps, and none comes to a state twice."""

POLICY = np.array([[0.6, 0.4], [0.3, 0.7], [0.8, 0.2]])
BEHAVIOUR = np.array([[0.2, 0.8], [0.9, 0.1], [0.4, 0.6]])
START = np.array([0.5, 0.3, 0.2])


@dataclasses.dataclass(frozen=True)
class Streams:
    """All streams of a length: `trajectory` [T, N], `time` [T, N], and how `probable` each stream is, [N]."""

    trajectory: Trajectory
    time: jax.Array
    probable: np.ndarray

    @property
    def weight(self):
        """Of every row, [T, N]: the probability of its stream, and 0 where the row is not valid."""
        return jnp.asarray(self.probable, jnp.float32)[None, :] * self.trajectory.valid.astype(jnp.float32)


def streams(process, policy, length, *, cut=0.0, whole=False):
    """Everything that can happen in `length` steps.

    - `cut`: the probability that an episode is truncated at a step that does not terminate it.
    - `whole`: each stream is a single episode, and what is left of it is not valid; else another episode follows.
    """
    found = []

    def extend(rows, probability, state, time):
        if len(rows) == length:
            found.append((probability, rows))
            return
        if state is None:
            extend([*rows, (0, 0, 0, 0.0, False, False, False, 0)], probability, None, 0)
            return
        for action, successor in np.argwhere(policy[state][:, None] * process.chance[state] > 0).tolist():
            index = state, action, successor
            here = probability * policy[state, action] * process.chance[index]
            ends = bool(process.ends[index])
            for truncated, share in [(False, 1.0)] if ends or cut == 0 else [(False, 1 - cut), (True, cut)]:
                row = (state, action, successor, process.reward[index], ends, truncated, True, time)
                if not (ends or truncated):
                    extend([*rows, row], here * share, successor, time + 1)
                elif whole:
                    extend([*rows, row], here * share, None, 0)
                else:
                    for beginning, chance in enumerate(START):
                        extend([*rows, row], here * share * chance, beginning, 0)

    for beginning, chance in enumerate(START):
        extend([], chance, beginning, 0)

    probable = np.array([probability for probability, _ in found])
    columns = [np.array(column).T for column in zip(*(zip(*rows, strict=True) for _, rows in found), strict=True)]
    state, action, successor, reward, terminated, truncated, valid, time = columns
    whole_number = [jnp.asarray(each, jnp.int32) for each in (state, action, successor, time)]
    trajectory = Trajectory(
        obs=whole_number[0],
        action=whole_number[1],
        next_obs=whole_number[2],
        reward=jnp.asarray(reward, jnp.float32),
        log_prob=jnp.zeros(reward.shape),
        terminated=jnp.asarray(terminated, bool),
        truncated=jnp.asarray(truncated, bool),
        valid=jnp.asarray(valid, bool),
    )
    return Streams(trajectory, whole_number[3], probable)


def linear_critic():
    """One number for each state, and a bias."""
    spec = Spec(Discrete(3), Discrete(2), num_envs=1, total_updates=1)
    return StateValue.initial(jax.random.key(0), spec, hidden=())


def fitted(problem, critic):
    """The critic at the top of a regression that is quadratic in it: one Newton step from anywhere leads there."""
    vector, unravel = ravel_pytree(critic)

    def slope(parameters):
        return ravel_pytree(problem.gradient(unravel(parameters))[0])[0]

    @jax.jit
    def top(vector):
        curvature = -jax.jacobian(slope)(vector)
        return vector + jnp.linalg.pinv(curvature, rtol=1e-5, hermitian=True) @ slope(vector)

    return unravel(top(vector))
