"""What an oracle knows, in the form that estimators ask for it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from steepest.core.interfaces import ActionValueFunction, Policy
from steepest.core.spaces import without_mask
from steepest.core.types import AnyArray, PyTree
from steepest.critics import AbstractTimeDependentValue, TabularValue
from steepest.oracles import LinearQuadratic, TabularMDP, TabularPOMDP

Oracle = TabularMDP | TabularPOMDP | LinearQuadratic
OracleOfStates = TabularMDP | LinearQuadratic
"""An oracle that knows values of states, which all that policies do depends on."""


def with_horizon(oracle: Oracle, horizon: int) -> Oracle:
    """The oracle with a horizon of `horizon` steps, the time limit of sampled episodes.

    Its gradient is then that of the return which is sampled; otherwise rewards beyond the time limit would look like a
    bias.
    """
    if isinstance(oracle, TabularPOMDP):
        mdp = with_horizon(oracle.mdp, horizon)
        assert isinstance(mdp, TabularMDP)
        return TabularPOMDP(mdp, oracle.observation)
    if isinstance(oracle, TabularMDP):
        return TabularMDP(oracle.transition, oracle.reward, oracle.initial, oracle.discount, horizon, oracle.mask)
    noise = {name: getattr(oracle, name) for name in ("initial_std", "initial_mean", "process_std")}
    return LinearQuadratic(float(oracle.discount), horizon, **noise)


def exact_gradient(oracle: Oracle, policy: PyTree) -> Float[np.ndarray, " P"]:
    """∇J at `policy`, in the order of `ravel_pytree`."""
    leaves = jax.tree.leaves(oracle.policy_gradient(policy))
    return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in leaves])


def exact_values(oracle: OracleOfStates, policy: Policy) -> AbstractTimeDependentValue:
    """V(s, t) of an oracle with a horizon."""
    if isinstance(oracle, TabularMDP):
        return TabularValue(jnp.asarray(oracle.values(oracle.probabilities(policy)), jnp.float32))
    return _quadratic(oracle, policy)


def exact_action_values(oracle: OracleOfStates, policy: Policy) -> ActionValueFunction:
    """Q(s, a) of an oracle with a horizon, for rows whose time is known by where they stand."""
    if isinstance(oracle, TabularMDP):
        return TimeDependentActionValue(jnp.asarray(oracle.action_values(oracle.probabilities(policy)), jnp.float32))
    assert oracle.horizon is not None
    return QuadraticActionValue(
        _quadratic(oracle, policy), float(oracle.discount), float(oracle.process_std), oracle.horizon
    )


def row_time(shape: tuple[int, ...], horizon: int) -> Int[Array, "..."]:
    """The time of each row of whole episodes: [T, N], or flattened, [T × N], with T = `horizon`.

    >>> row_time((2, 3), 2).tolist(), row_time((6,), 2).tolist()
    ([[0, 0, 0], [1, 1, 1]], [0, 0, 0, 1, 1, 1])
    """
    rows = int(np.prod(shape))
    return (jnp.arange(rows, dtype=jnp.int32) // (rows // horizon)).reshape(shape)


class TimeDependentActionValue(eqx.Module):
    """A table of time-dependent action values $Q_t(s,a)$, [H, S, A], for rows of whole episodes (see `row_time`)."""

    table: Float[Array, "H S A"]

    def __call__(self, obs: PyTree, action: Int[AnyArray, "*rows"]) -> Float[Array, "*rows"]:
        obs = without_mask(obs)
        return self.table[row_time(obs.shape, self.table.shape[0]), obs, action]


class QuadraticValue(AbstractTimeDependentValue):
    """The quadratic value function $V_t(s) = -(p_t s^2 + c_t)$.

    - `curvature`, `constant`: p and c, [H + 1]; the last are 0.
    """

    curvature: Float[Array, " H1"]
    constant: Float[Array, " H1"]

    def __call__(self, obs: AnyArray, time: Int[AnyArray, "*batch"]) -> Float[Array, "*batch"]:
        return -(self.curvature[time] * jnp.square(obs[..., 0]) + self.constant[time])


class QuadraticActionValue(eqx.Module):
    """The quadratic action values $Q_t(s,a) = -s^2 - a^2 + \\gamma E[V_{t+1}(s + a + \\text{noise})]$.

    Rows are those of whole episodes; see `row_time`.
    """

    value: QuadraticValue
    discount: float = eqx.field(static=True)
    process_std: float = eqx.field(static=True)
    horizon: int = eqx.field(static=True)

    def __call__(self, obs: AnyArray, action: AnyArray) -> Float[Array, "*rows"]:
        following = row_time(obs.shape[:-1], self.horizon) + 1
        state, added = obs[..., 0], action[..., 0]
        later = self.value(obs + action, following) - self.value.curvature[following] * self.process_std**2
        return -jnp.square(state) - jnp.square(added) + self.discount * later


def _quadratic(oracle: LinearQuadratic, policy: PyTree) -> QuadraticValue:
    # V is −c at 0 and −(p + c) at 1, and 0 everywhere when all is over.
    at_zero, at_one = np.concatenate([oracle.values(policy, np.array([0.0, 1.0])), np.zeros((1, 2))]).T
    curvature, constant = at_zero - at_one, -at_zero
    return QuadraticValue(jnp.asarray(curvature, jnp.float32), jnp.asarray(constant, jnp.float32))
