"""The gradient of any policy on any environment, by any estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steepest.core.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Array, Key

    from steepest.diagnostics.gradients import GradientSamples
    from steepest.estimators import AbstractEstimator


def estimate_gradient(
    policy: Any,
    env: Any,
    estimator: AbstractEstimator,
    key: Key[Array, ""],
    *,
    episodes: int = 100,
    repeats: int = 1,
    backend: str = "auto",
    max_episode_steps: int | None = None,
    slots: int = 16,
) -> GradientSamples:
    r"""Estimate $\nabla J$ at `policy`, `repeats` times over, each from `episodes` fresh episodes.

    **Arguments**

    - `policy`: called on observations it gives a distribution; its array leaves are the parameters.
    - `env`: an id; a compiled environment; an oracle such as `TabularMDP`; or a function that makes a Gymnasium
      environment.
    - `estimator`: how (`steepest.estimators`).
    - `key`: of everything that is random.
    - `episodes`: of each estimate. Perturbations play so many under each perturbed policy.
    - `backend`: who runs the environment, as for `steepest train`.
    - `max_episode_steps`: a time limit for environments that have none of their own.
    - `slots`: environments side by side, on the host. There, common random numbers are those of the actions alone.

    **Returns** gradients shaped like the policy with a leading axis of repeats, and what each took.

    **Raises** `InputError` for a wrong count or an environment without a time limit; `NonFiniteError` for a gradient
    that is not finite.

    **Example**

    >>> import jax, jax.numpy as jnp
    >>> from steepest.advantages import MonteCarlo
    >>> from steepest.estimators import LikelihoodRatio
    >>> from steepest.oracles import bandit
    >>> from steepest.policies import TabularPolicy
    >>> estimator = LikelihoodRatio(1.0, MonteCarlo(1.0))
    >>> found = estimate_gradient(TabularPolicy(jnp.zeros((1, 2))), bandit([1.0, 0.0]), estimator, jax.random.key(0))
    >>> found.gradients.logits.shape
    (1, 1, 2)
    """
    from steepest.diagnostics.gradients import check_sizes, repeat_compiled, repeat_on_host

    check_sizes(episodes, repeats)
    rollouts = open_rollouts(env, key, backend=backend, max_episode_steps=max_episode_steps, slots=slots)
    if rollouts.compiled:
        return repeat_compiled(estimator, policy, rollouts, key, episodes=episodes, repeats=repeats)
    try:
        return repeat_on_host(estimator, policy, rollouts, key, episodes=episodes, repeats=repeats)
    finally:
        rollouts.close()


def open_rollouts(env: Any, key: Any, *, backend: str, max_episode_steps: int | None, slots: int) -> Any:
    """Whoever can play episodes of `env`, which is anything that `estimate_gradient` takes."""
    import jax

    from steepest.diagnostics.rollouts import CompiledRollouts, HostRollouts
    from steepest.experiments.environments import resolve
    from steepest.oracles import LinearQuadratic, TabularMDP

    if isinstance(env, TabularMDP | LinearQuadratic):
        env = env.as_env(max_episode_steps)
    task = resolve(env, backend)
    length = task.max_episode_steps or max_episode_steps
    if length is None:
        raise InputError(
            f"environment {task.id} has no time limit, so its episodes need not end. Give max_episode_steps."
        )
    if task.env is not None:
        return CompiledRollouts(task.env, length)
    assert task.make is not None
    seed = int(jax.random.randint(key, (), 0, 2**30))
    return HostRollouts(task.make, slots, seed, length)
