"""Running means and variances that an agent carries: of its observations, and of its discounted reward."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from steepest.core.types import AnyArray, PyTree


class Moments(eqx.Module):
    """Mean and variance of all that was seen, merged batch by batch (Chan et al., 1979).

    - `mean`, `variance`: per component, in the unit of the data and its square.
    - `count`: rows seen.
    """

    mean: Float[Array, "*shape"]
    variance: Float[Array, "*shape"]
    count: Float[Array, ""]

    @classmethod
    def initial(cls, shape: tuple[int, ...]) -> "Moments":
        """Nothing seen: mean 0 and variance 1, so that normalising changes nothing."""
        return cls(*(jnp.full(size, value, jnp.float32) for size, value in ((shape, 0), (shape, 1), ((), 0))))

    @classmethod
    def of(cls, rows: Float[Array, "B *shape"], weight: Float[Array, " B"]) -> "Moments":
        """Those of the rows of positive weight alone."""
        column = weight.reshape(-1, *[1] * (rows.ndim - 1))
        count = jnp.sum(weight)
        share = column / jnp.where(count > 0, count, 1)
        mean = jnp.sum(rows * share, axis=0)
        return cls(mean, jnp.sum(jnp.square(rows - mean[None]) * share, axis=0), count)

    def merge(self, new: "Moments") -> "Moments":
        """Those of all that either has seen."""
        total = self.count + new.count
        fraction = new.count / jnp.where(total > 0, total, 1)
        shift = new.mean - self.mean
        merged = Moments(
            self.mean + shift * fraction,
            self.variance * (1 - fraction) + new.variance * fraction + jnp.square(shift) * fraction * (1 - fraction),
            total,
        )
        return jax.tree.map(
            lambda after, before: jnp.where(new.count > 0, after, before).astype(before.dtype), merged, self
        )


class AbstractNormaliser(eqx.Module):
    """What an agent does to observations before its networks see them."""

    @abc.abstractmethod
    def __call__(self, obs: PyTree) -> PyTree:
        """The observations as networks take them."""

    @abc.abstractmethod
    def measure(self, obs: PyTree, weight: Float[Array, " B"]) -> PyTree:
        """What the rows of positive weight add to the statistics."""

    @abc.abstractmethod
    def merge(self, measured: PyTree) -> "AbstractNormaliser":
        """The normaliser with what was measured."""


class NoNormaliser(AbstractNormaliser):
    """Observations as they are."""

    def __call__(self, obs: PyTree) -> PyTree:
        return obs

    def measure(self, obs: PyTree, weight: Float[Array, " B"]) -> None:
        return None

    def merge(self, measured: None) -> "NoNormaliser":
        return self


class ObservationNormaliser(AbstractNormaliser):
    """$(s - \\mu) / \\sigma$ with the running moments, cut at ± `limit` standard deviations.

    The moments change in `merge` alone, between one segment and the next. So while a segment is sampled and learnt
    from, all of its log-probabilities are of the same normalised observations.
    """

    moments: Moments
    limit: float = eqx.field(static=True, default=10.0)

    def __call__(self, obs: PyTree) -> Float[Array, "*batch"]:
        """Normalise the trailing axes of `obs`."""
        shape = self.moments.mean.shape
        flat = self._numbers(obs).reshape(-1, *shape)
        deviation = jnp.sqrt(self.moments.variance + 1e-8)
        scaled = (flat - self.moments.mean[None]) / deviation[None]
        return jnp.clip(scaled, -self.limit, self.limit).reshape(obs.shape)

    def measure(self, obs: PyTree, weight: Float[Array, " B"]) -> Moments:
        """The moments of the rows of positive weight."""
        return Moments.of(self._numbers(obs).reshape(-1, *self.moments.mean.shape), weight)

    def _numbers(self, obs: PyTree) -> AnyArray:
        """Bytes of pictures as numbers that can be computed with."""
        return obs if jnp.issubdtype(obs.dtype, jnp.floating) else obs.astype(self.moments.mean.dtype)

    def merge(self, measured: Moments | None) -> "ObservationNormaliser":
        if measured is None:
            return self
        return ObservationNormaliser(self.moments.merge(measured), self.limit)


class TreeNormaliser(AbstractNormaliser):
    """A normaliser for every leaf of observations that are trees of arrays.

    - `parts`: in the order of the leaves.
    """

    parts: tuple[AbstractNormaliser, ...]

    def __call__(self, obs: PyTree) -> PyTree:
        arrays, structure = jax.tree.flatten(obs)
        return jax.tree.unflatten(structure, [part(each) for part, each in zip(self.parts, arrays, strict=True)])

    def measure(self, obs: PyTree, weight: Float[Array, " B"]) -> tuple:
        return tuple(part.measure(each, weight) for part, each in zip(self.parts, jax.tree.leaves(obs), strict=True))

    def merge(self, measured: PyTree) -> "TreeNormaliser":
        if measured is None:
            return self
        return TreeNormaliser(tuple(part.merge(each) for part, each in zip(self.parts, measured, strict=True)))


class RewardStatistics(eqx.Module):
    """What a trajectory adds to a `RewardScaler`.

    - `moments`: of the discounted rewards that its streams passed through.
    - `streams`: where they are after it.
    """

    moments: Moments
    streams: Float[Array, " N"]


class AbstractRewardScaler(eqx.Module):
    """What an agent does to rewards before it learns from them."""

    @abc.abstractmethod
    def __call__(self, reward: Float[Array, "T N"]) -> Float[Array, "T N"]:
        """The rewards to learn from."""

    @abc.abstractmethod
    def in_their_unit(self, value: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Values of what is learnt from, in the unit of the environment's rewards."""

    @abc.abstractmethod
    def measure(
        self, reward: Float[Array, "T N"], ended: Bool[Array, "T N"], valid: Bool[Array, "T N"], discount: float | Array
    ) -> RewardStatistics | None:
        """What a trajectory adds to the statistics."""

    @abc.abstractmethod
    def merge(self, measured: RewardStatistics | None) -> "AbstractRewardScaler":
        """The scaler with what was measured."""


class NoRewardScaler(AbstractRewardScaler):
    """Rewards as they are."""

    def __call__(self, reward: Float[Array, "T N"]) -> Float[Array, "T N"]:
        return reward

    def in_their_unit(self, value: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        return value

    def measure(
        self, reward: Float[Array, "T N"], ended: Bool[Array, "T N"], valid: Bool[Array, "T N"], discount: float | Array
    ) -> None:
        return None

    def merge(self, measured: RewardStatistics | None) -> "NoRewardScaler":
        return self


class RewardScaler(AbstractRewardScaler):
    """Divide rewards by the running standard deviation of the discounted return of a stream.

    Only the scale changes, never the sign, so the ordering of policies is kept.

    - `streams`: $\\sum_k \\gamma^k r_{t-k}$ of each stream since its episode began.
    """

    moments: Moments
    streams: Float[Array, " N"]
    limit: float = eqx.field(static=True, default=10.0)

    @classmethod
    def initial(cls, num_envs: int) -> "RewardScaler":
        """Nothing seen: the scale is 1."""
        return cls(Moments.initial(()), jnp.zeros(num_envs, jnp.float32))

    def __call__(self, reward: Float[Array, "T N"]) -> Float[Array, "T N"]:
        """The rewards in units of the standard deviation."""
        return jnp.clip(reward / self._deviation, -self.limit, self.limit)

    def in_their_unit(self, value: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        return value * self._deviation

    @property
    def _deviation(self) -> Float[Array, ""]:
        return jnp.sqrt(self.moments.variance + 1e-8)

    def measure(
        self, reward: Float[Array, "T N"], ended: Bool[Array, "T N"], valid: Bool[Array, "T N"], discount: float | Array
    ) -> RewardStatistics:

        def forwards(streams, row):
            reward, ended, valid = row
            after = jnp.where(valid, streams * discount + reward, streams)
            return after * (1 - ended.astype(after.dtype)), after

        streams, passed = jax.lax.scan(forwards, self.streams, (reward, ended, valid))
        return RewardStatistics(Moments.of(passed.reshape(-1), valid.reshape(-1).astype(passed.dtype)), streams)

    def merge(self, measured: RewardStatistics | None) -> "RewardScaler":
        assert measured is not None
        return RewardScaler(self.moments.merge(measured.moments), measured.streams, self.limit)
