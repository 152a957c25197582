"""Estimation of the policy gradient, and comparison of gradient estimators."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from steepest.core.errors import InputError
from steepest.core.interfaces import Policy
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from jaxtyping import Array, Key

    from steepest.diagnostics.builders import Context
    from steepest.diagnostics.exact import Oracle
    from steepest.diagnostics.quality import Reference
    from steepest.diagnostics.repeats import GradientSamples
    from steepest.diagnostics.rows import GradientComparison
    from steepest.diagnostics.setting import Setting
    from steepest.envs.tasks import EnvironmentLike
    from steepest.estimators import AbstractEstimator, AbstractRollouts

_REFERENCE_BLOCK = 100
"""The smallest number of episodes of one estimate of a sampled reference; its critic is fitted on half of them."""


def estimate_gradient(
    policy: Policy,
    env: EnvironmentLike | Oracle,
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
    - `env`: an id; a compiled environment; an oracle such as `TabularMDP`, or `TabularPOMDP` for a policy with memory;
      or a function that makes a Gymnasium environment.
    - `estimator`: of `steepest.estimators`.
    - `key`: of everything that is random.
    - `episodes`: of each estimate. Perturbations play so many under each perturbed policy.
    - `backend`: the library that runs the environment, as for `steepest train`.
    - `max_episode_steps`: a time limit, where the environment's own is not shorter.
    - `slots`: environments side by side, on the host. There, common random numbers are those of the actions alone.

    **Returns** gradients shaped like the policy with a leading axis of repeats, and diagnostics of each.

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
    from steepest.diagnostics.repeats import check_sizes, repeat_compiled, repeat_on_host

    check_sizes(episodes, repeats)
    rollouts = open_rollouts(env, key, backend=backend, max_episode_steps=max_episode_steps, slots=slots)
    if rollouts.compiled:
        return repeat_compiled(estimator, policy, rollouts, key, episodes=episodes, repeats=repeats)
    try:
        return repeat_on_host(estimator, policy, rollouts, key, episodes=episodes, repeats=repeats)
    finally:
        rollouts.close()


def open_rollouts(
    env: EnvironmentLike | Oracle, key: Key[Array, ""], *, backend: str, max_episode_steps: int | None, slots: int
) -> AbstractRollouts:
    """Whoever can play episodes of `env`, which is anything that `estimate_gradient` takes."""
    from steepest.diagnostics.setting import open_task, time_limit
    from steepest.envs.tasks import resolve
    from steepest.oracles import LinearQuadratic, TabularMDP, TabularPOMDP

    if isinstance(env, TabularMDP | TabularPOMDP | LinearQuadratic):
        env = env.as_env(max_episode_steps)
    task = resolve(env, backend)
    return open_task(task, key, limit=time_limit(task, max_episode_steps), slots=slots)


def compare_gradients(
    policy: Policy,
    env: EnvironmentLike | Oracle | Setting,
    estimators: Sequence[str] = (),
    key: Key[Array, ""] | None = None,
    *,
    own: Mapping[str, AbstractEstimator] | None = None,
    behaviour: Policy | None = None,
    episodes: int = 100,
    repeats: int = 30,
    discount: float | None = None,
    gae_lambda: float = 0.95,
    n: int = 5,
    backend: str = "auto",
    max_episode_steps: int | None = None,
    reference_episodes: int | None = None,
    slots: int = 16,
    report: Callable[[str, int, int], None] | None = None,
) -> GradientComparison:
    r"""Compare bias, variance and cost of estimators of $\nabla J$ at `policy`.

    On tabular and linear-quadratic problems they are compared with the exact gradient of the return up to the time
    limit, as sampled episodes have it. Elsewhere the reference is the mean of many more episodes, by the
    reward-to-go less a value fitted on other episodes, which has no bias; its standard error is part of every verdict.
    The bias is always that for ∇J, also of estimators that are meant to estimate something else.

    **Arguments**

    - `policy`: called on observations it gives a distribution; its array leaves are the parameters.
    - `env`: an id; `LinearQuadratic`; a compiled environment; an oracle such as `TabularMDP`; or a function that makes
      a Gymnasium environment; or a `Setting`. FrozenLake, Taxi and CliffWalking are played from
      their tables, unless `backend` says otherwise.
    - `estimators`: names, of `steepest list estimators`; all that are available when left out.
    - `key`: of everything that is random; that of seed 0 when left out.
    - `own`: estimators of your own by name, to be compared too.
    - `behaviour`: the behaviour policy of off-policy estimators.
    - `episodes`: of each estimate. Perturbations share them out among the perturbed policies, at least one for each.
    - `repeats`: estimates of each estimator; the bias is tested from 3 on.
    - `discount`, `gae_lambda`, `n`: γ, by default 0.99 or an oracle's own; λ; and the n of n-step.
    - `backend`: the library that runs the environment.
    - `max_episode_steps`: a time limit, where the environment's own is not shorter.
    - `reference_episodes`: of a sampled reference; by default 20 times all episodes of an estimator in a compiled
      environment, 2 times elsewhere.
    - `slots`: environments side by side, on the host.
    - `report`: called after each estimate with its estimator, the number of estimates so far, and their total.

    **Raises** `InputError` for an estimator that is unknown or lacks what it needs, with what to do; `NonFiniteError`
    for a gradient that is not finite.

    **Example**

    >>> import jax.numpy as jnp
    >>> from steepest.oracles import bandit
    >>> from steepest.policies import TabularPolicy
    >>> policy = TabularPolicy(jnp.zeros((1, 2)))
    >>> found = compare_gradients(policy, bandit([1.0, 0.0]), ["whole_return", "exact_baseline"])
    >>> found["whole_return"].quality.variance > found["exact_baseline"].quality.variance
    True
    """
    import jax

    from steepest.diagnostics.builders import Context, build
    from steepest.diagnostics.catalogue import check_names, select
    from steepest.diagnostics.exact import OracleOfStates, exact_action_values, exact_values
    from steepest.diagnostics.repeats import check_sizes
    from steepest.diagnostics.rows import GradientComparison, compare
    from steepest.diagnostics.setting import Setting, available, check_policy, parameters_of, setting

    check_names(estimators)
    check_sizes(episodes, repeats)
    discount = _discount(env, discount)
    own = dict(own or {})
    if isinstance(env, Setting):
        place = env
    else:
        place = setting(env, discount=discount, backend=backend, max_episode_steps=max_episode_steps, slots=slots)
    for each in (policy, *([] if behaviour is None else [behaviour])):
        check_policy(each, place)
    has, present = available(place, behaviour)
    size = parameters_of(policy)
    # Estimators of one's own are compared with one another, unless names say what else there shall be.
    names, notes = select(estimators, has, size) if estimators or not own else ([], [])
    context = Context(
        policy=policy,
        discount=discount,
        gae_lambda=gae_lambda,
        n=n,
        horizon=place.horizon,
        observation=place.observation,
        behaviour=behaviour,
        value=exact_values(place.oracle, policy) if isinstance(place.oracle, OracleOfStates) else None,
        action_value=exact_action_values(place.oracle, policy) if isinstance(place.oracle, OracleOfStates) else None,
        parameters=size,
    )
    for_reference, for_estimates = jax.random.split(jax.random.key(0) if key is None else key)
    size, blocks = reference_blocks(episodes, reference_episodes or (20 if place.compiled else 2) * episodes * repeats)
    total = repeats * (len(names) + len(own)) + (0 if place.oracle is not None else blocks)
    done = itertools.count(1)

    def tell(name: str) -> None:
        if report is not None:
            report(name, next(done), total)

    reference = _reference(place, policy, context, for_reference, size, blocks, tell)
    rows = compare(
        {name: build(name, context) for name in names} | own,
        policy,
        lambda: place.open(for_estimates),
        reference,
        for_estimates,
        episodes=episodes,
        repeats=repeats,
        present=(*present, *(["discount"] if discount < 1 else [])),
        report=tell,
    )
    notes += [
        f"{row.name}: weights so uneven that the sample counts as {100 * row.effective_share:.2g} % of its size. The "
        "rare large ones that make up its mean were not met, so its bias and variance cannot be seen."
        for row in rows
        if not row.measurable
    ]
    return GradientComparison(rows, reference, tuple(notes))


def reference_blocks(episodes: int, total: int) -> tuple[int, int]:
    """The episodes of each estimate of a sampled reference, and the number of estimates."""
    size = max(episodes, _REFERENCE_BLOCK)
    return size, max(3, -(-total // size))


def _reference(
    place: Setting,
    policy: Policy,
    context: Context,
    key: Key[Array, ""],
    episodes: int,
    blocks: int,
    report: Callable[[str], None],
) -> Reference:
    from steepest.diagnostics.builders import build
    from steepest.diagnostics.exact import exact_gradient
    from steepest.diagnostics.quality import Reference
    from steepest.diagnostics.rows import sampled_reference

    until = f"the return of the first {place.horizon:,} steps"
    if place.oracle is not None:
        return Reference(exact_gradient(place.oracle, policy), None, f"exact, of {until}")
    meaning = f"the mean of {episodes * blocks:,} other episodes, by learned_baseline, of {until}"
    estimator, rollouts = build("learned_baseline", context), place.open(key)
    return sampled_reference(
        estimator, policy, rollouts, key, episodes=episodes, blocks=blocks, meaning=meaning, report=report
    )


def _discount(env: object, given: float | None) -> float:
    """γ: the one given, or that of an oracle, which has one. **Raises** `InputError` when the two differ."""
    check_number("discount", given, at_least=0, at_most=1, remedy="0.99 is usual.")
    env = getattr(env, "oracle", env)
    own = None if isinstance(env, str) else getattr(env, "discount", None)
    if own is None:
        return 0.99 if given is None else given
    if given is not None and given != float(own):
        raise InputError(f"discount is {given}; the problem given has {float(own)}. Leave it out.")
    return float(own)
