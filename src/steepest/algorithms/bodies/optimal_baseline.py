"""The problem of whole episodes whose gradient has the variance-optimal baseline in it (G6)."""

import equinox as eqx
import jax
import jax.numpy as jnp

from steepest.advantages import variance_optimal
from steepest.core.distributions import AbstractDistribution
from steepest.core.histories import Histories
from steepest.core.interfaces import Policy
from steepest.core.problem import Info, Parameters, SampledProblem
from steepest.core.trajectory import Batch
from steepest.objectives import Score, episode_scores


class EpisodeProblem(SampledProblem[Parameters]):
    """Rows of N streams that play an episode each, weighted with the return of the whole episode.

    The optimal baseline weighs returns with squared scores, so it is made where scores are: in the gradient. It is in
    leave-one-out form, and adds no bias.

    - `episodes`: N.
    - `per_parameter`: one baseline for each parameter, or one for all.
    """

    episodes: int = eqx.field(static=True)
    per_parameter: bool = eqx.field(static=True)

    def gradient(self, parameters: Parameters) -> tuple[Parameters, Info]:
        objective, info = self.evaluate(parameters)
        rows, shape = self.batch, (-1, self.episodes)
        obs, action = jax.tree.map(
            lambda each: each if isinstance(each, Histories) else each.reshape(*shape, *each.shape[1:]),
            (rows.obs, rows.action),
            is_leaf=lambda each: isinstance(each, Histories),
        )
        scores, unravel = episode_scores(parameters, obs, action, (rows.weight > 0).reshape(shape))
        returns = rows.advantage.reshape(shape)[0]
        baseline = variance_optimal(scores, returns, per_parameter=self.per_parameter, leave_one_out=True)
        total = jnp.sum(scores * (returns[:, None] - baseline), axis=0)
        return unravel(total / jnp.maximum(jnp.sum(rows.weight), 1)), info | {"objective": objective}


class OptimalBaselineScore(Score):
    """The score of whole episodes, with the variance-optimal baseline subtracted from their returns (G6).

    - `streams`: N, an episode each.
    - `per_parameter`: one baseline for each parameter, or one for all.
    """

    streams: int = eqx.field(static=True)
    per_parameter: bool = eqx.field(static=True)

    def problem(self, batch: Batch, policy: Policy, old: AbstractDistribution | None = None) -> EpisodeProblem:
        old = policy(batch.obs) if old is None else old
        return EpisodeProblem(self, batch, old, self.streams, self.per_parameter)
