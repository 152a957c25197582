"""The settings in which gradients are estimated: environment, time limit, oracle and policies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from steepest.core.errors import InputError
from steepest.core.interfaces import Policy
from steepest.core.spaces import Box, Discrete, Space, Spec, leaves, map_leaves, without_mask
from steepest.core.validation import check_number
from steepest.diagnostics.exact import Oracle, OracleOfStates, with_horizon
from steepest.diagnostics.frozen import NormalisedPolicy
from steepest.diagnostics.rollouts import CompiledRollouts, HostRollouts
from steepest.envs.tasks import Bounds, EnvironmentLike, Task, resolve
from steepest.estimators import AbstractRollouts
from steepest.oracles import LinearQuadratic, gymnasium_mdp
from steepest.policies import LinearGaussian, TabularPolicy, network_policy

LINEAR_QUADRATIC = "LinearQuadratic"
"""The name of the linear-quadratic problem."""
_LINEAR_QUADRATIC_STEPS = 20
_TABLES = {"FrozenLake": 100, "FrozenLake8x8": 200, "Taxi": 200, "CliffWalking": 100, "CliffWalkingSlippery": 100}
"""Environments that are tables, and their time limits; Gymnasium has none for CliffWalking."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """An environment in which gradients are estimated, with its oracle.

    - `played`: the source of episodes, in words.
    - `horizon`: the time limit, in steps.
    - `oracle`: the exact problem, of the return up to the time limit; or None.
    - `open`: from a key to rollouts.
    - `compiled`: whether these are compiled.
    """

    id: str
    played: str
    observation: Space
    action: Space
    horizon: int
    oracle: Oracle | None
    open: Callable[[Key[Array, ""]], AbstractRollouts]
    compiled: bool

    @property
    def spec(self) -> Spec:
        """The specification that a policy is made from."""
        return Spec(self.observation, self.action, num_envs=1, total_updates=1)


def setting(
    env: EnvironmentLike | Oracle,
    *,
    discount: float,
    backend: str = "auto",
    max_episode_steps: int | None = None,
    action_bounds: Bounds = (None, None),
    action_masks: bool | None = None,
    slots: int = 16,
) -> Setting:
    """The setting of an environment, with its oracle where there is one.

    Tables are played inside a compiled program, unless another backend is named. EnvPool has its own implementations of
    those environments, to which the tables do not apply.

    **Arguments** are those of `compare_gradients`.

    **Raises** `InputError` when there is no such environment, or it has no time limit and none is given.
    """
    if isinstance(env, Oracle):
        name = LINEAR_QUADRATIC if isinstance(env, LinearQuadratic) else type(env).__name__
        return _oracle(env, name, min(filter(None, (env.horizon, max_episode_steps)), default=None))
    if isinstance(env, str) and env == LINEAR_QUADRATIC:
        return _oracle(LinearQuadratic(discount, horizon=max_episode_steps or _LINEAR_QUADRATIC_STEPS), env, None)
    oracle, limit = None, max_episode_steps
    family = env.rsplit("-v", 1)[0] if isinstance(env, str) else ""
    if isinstance(env, str) and family in _TABLES and backend in ("auto", "compiled", "gymnasium"):
        limit = min(filter(None, (_TABLES[family], max_episode_steps)))
        # Gymnasium ends no episode of CliffWalking, so there a longer one may be asked for.
        if family.startswith("CliffWalking"):
            limit = max_episode_steps or limit
        oracle = gymnasium_mdp(env, discount=discount, horizon=limit, action_masks=action_masks is not False)
        if backend != "gymnasium":
            return _oracle(oracle, env, limit)
    task = resolve(env, backend, action_bounds, action_masks=action_masks)
    limit = time_limit(task, limit)
    # A compiled environment keeps nothing from one episode to the next, but keeps its compiled program.
    rollouts = None if task.env is None else CompiledRollouts(task.env, limit)
    return Setting(
        id=task.id,
        played=f"{task.library} ({task.backend})",
        observation=task.observation_space,
        action=task.action_space,
        horizon=limit,
        oracle=oracle,
        open=lambda key: rollouts or open_task(task, key, limit=limit, slots=slots),
        compiled=task.env is not None,
    )


def _oracle(oracle: Oracle, name: str, limit: int | None) -> Setting:
    horizon = limit or oracle.horizon
    if horizon is None:
        raise InputError(f"environment {name} has no horizon, so its episodes need not end. Give max_episode_steps.")
    oracle = with_horizon(oracle, horizon)
    env = resolve(oracle.as_env()).env
    assert env is not None
    tabular = not isinstance(oracle, LinearQuadratic)
    table = ", from its table: rewards are means given state and action" if tabular else ""
    rollouts = CompiledRollouts(env, horizon)
    return Setting(
        id=name,
        played=f"steepest (compiled){table}",
        observation=env.observation_space,
        action=env.action_space,
        horizon=horizon,
        oracle=oracle,
        open=lambda _: rollouts,
        compiled=True,
    )


def time_limit(task: Task, given: int | None) -> int:
    """The time limit: the environment's own, or the one given where that is shorter or the only one."""
    check_number(
        "max_episode_steps",
        given,
        at_least=1,
        at_most=10**9,
        whole=True,
        remedy="Leave it out for the environment's own.",
    )
    limit = min(filter(None, (task.max_episode_steps, given)), default=None)
    if limit is None:
        raise InputError(
            f"environment {task.id} has no time limit, so its episodes need not end. Give max_episode_steps."
        )
    return limit


def open_task(task: Task, key: Key[Array, ""], *, limit: int, slots: int) -> AbstractRollouts:
    """The rollouts of a task."""
    if task.env is not None:
        return CompiledRollouts(task.env, limit)
    assert task.make is not None
    return HostRollouts(task.make, slots, int(jax.random.randint(key, (), 0, 2**30)), limit)


def same_kind(one: Space, other: Space) -> bool:
    """Whether two spaces are equal but for the bounds of real numbers."""
    return _kind(one) == _kind(other)


def _kind(space: Space) -> list:
    found = leaves(space)
    return [
        (name, type(leaf), leaf.shape, getattr(leaf, "n", None), getattr(leaf, "nvec", None)) for name, leaf in found
    ]


def fresh_policy(key: Key[Array, ""], place: Setting, hidden: tuple[int, ...] = (16,)) -> Policy:
    """A randomly initialised policy.

    A logit, drawn from N(0, 1), for each pair of numbered observation and action; for the linear-quadratic problem
    linear feedback with a gain near −0.3 and σ near 0.6; else a small network with the initialisation of training.
    """
    if isinstance(place.oracle, LinearQuadratic):
        gain, log_std = jnp.array([-0.3, -0.5]) + 0.1 * jax.random.normal(key, (2,))
        return LinearGaussian(gain, log_std)
    observation = without_mask(place.observation)
    if isinstance(observation, Discrete) and isinstance(place.action, Discrete):
        return TabularPolicy(jax.random.normal(key, (observation.n, place.action.n)))
    return network_policy(key, place.spec, hidden=hidden)


def describe_policy(policy: Policy) -> str:
    """A description of a policy: its class and its number of parameters."""
    inner = policy.policy if isinstance(policy, NormalisedPolicy) else policy
    return f"{type(inner).__name__} with {parameters_of(policy):,} parameters"


def parameters_of(policy: Policy) -> int:
    """The number of parameters of a policy."""
    return sum(int(jnp.size(leaf)) for leaf in jax.tree.leaves(policy))


def available(place: Setting, behaviour: Policy | None) -> tuple[set[str], tuple[str, ...]]:
    """The needs of estimators that are met in a setting, and the causes of bias that apply."""
    has: set[str] = set()
    if isinstance(place.oracle, OracleOfStates):
        has |= {"exact_values", "exact_action_values"}
    if behaviour is not None:
        has.add("behaviour")
    if isinstance(place.action, Box):
        has.add("continuous")
    present = [] if isinstance(place.oracle, OracleOfStates) else ["fitted"]
    return has, (*present, *(["behaviour"] if behaviour is not None else []))


def check_policy(policy: object, place: Setting) -> None:
    """**Raises** `InputError` for a policy that does not map observations to a distribution."""
    if not callable(policy):
        raise InputError(
            f"policy is a {type(policy).__name__}; it must be called on observations of {place.id} and give a "
            "distribution. Take one of steepest.policies."
        )
    obs = map_leaves(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), place.observation)
    try:
        eqx.filter_eval_shape(lambda policy, obs: policy(obs).mode(), policy, obs)
    except (TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"policy does not take an observation of {place.id}, {place.observation}: {error}. "
            "Make it for these spaces."
        ) from error
