"""The measuring process of `bench.py`: trains one case, and says how fast its parts are.

Usage: `measure.py CASE SECONDS`, where CASE is JSON with `env`, `backend` and PPO's `hyper_parameters`. It speaks as
`harness.py` describes: ready after the first update; the first line makes it compile the parts to be measured alone,
and each one after that is answered with one round of measurements.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from harness import rate, serve

from steepest.algorithms import PPO
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.spaces import Discrete, Spec
from steepest.core.trajectory import Trajectory
from steepest.envs.environment import AbstractEnvironment
from steepest.envs.tasks import Task, resolve
from steepest.sampling.compiled import sample, start
from steepest.sampling.host import HostStreams
from steepest.training.compiled import CompiledTraining
from steepest.training.driver import AbstractTraining
from steepest.training.host import HostTraining

ENDLESS = 2**31 - 1
MATRIX = 2048
"""Rows and columns of the matrices whose product measures the machine's peak."""


def main(case: dict[str, Any], seconds: float) -> None:
    """Answer rounds of measurements until the input ends."""
    parameters = PPO(**case["hyper_parameters"])
    task = resolve(case["env"], case["backend"])
    spec = Spec(task.observation_space, task.action_space, parameters.num_envs, total_updates=1)
    algorithm = parameters.build(spec)
    groups = [] if task.env is not None else task.groups(parameters.num_envs, seed=0)

    before = time.perf_counter()
    training: AbstractTraining
    if task.env is not None:
        training = CompiledTraining(algorithm, task.env, seeds=(0,), total_steps=ENDLESS)
    else:
        training = HostTraining(algorithm, groups, seed=0, total_steps=ENDLESS)
    training.advance(0)
    first_update = time.perf_counter() - before
    ready = {"first_update": first_update, "peak_memory": peak_memory(), "device": jax.devices()[0].device_kind}

    parts: dict[str, Callable[[float], float]] = {}

    def one_round() -> dict[str, float]:
        """Measure everything once, one thing right after the other; the first round only makes ready for that."""
        if parts:
            return {name: measurement(seconds) for name, measurement in parts.items()}
        parts.update(measurements(algorithm, task, training, parameters))
        for measurement in parts.values():
            for warm_up in (0.1, 0.2, 0.3):
                measurement(warm_up)
        return {}

    serve(ready, one_round)


def measurements(
    algorithm: AbstractAlgorithm, task: Task, training: AbstractTraining, parameters: PPO
) -> dict[str, Callable[[float], float]]:
    """What a round consists of: by name, functions from seconds to work per second."""
    (agent,) = training.agents().values()
    agent = jax.tree.map(jnp.copy, agent)  # the training gives its own away
    play = compiled_play(task.env, parameters) if task.env is not None else alternating_play(task, parameters)
    rows = parameters.segment_length * parameters.num_envs
    flop = update_flop(agent, rows * parameters.epochs)
    trajectory = sampled(algorithm, task, agent)
    update = jax.jit(lambda algorithm, *rest: _arrays(algorithm.update(*rest)))
    key = jax.random.key(0)

    def train(seconds: float) -> float:
        steps, before = training.steps, time.perf_counter()
        training.advance(seconds)
        return (training.steps - steps) / (time.perf_counter() - before)

    def update_once() -> float:
        jax.block_until_ready(update(algorithm, key, agent, trajectory))
        return flop

    return {
        "training": train,
        "environment": lambda seconds: rate(play, seconds / 2),
        "update": lambda seconds: rate(update_once, seconds / 2),
        "peak": peak(),
    }


def _arrays(result: tuple[Any, Any]) -> Any:
    """All that an update computes."""
    agent, info = result
    return agent, info.metrics, info.finite.first_bad


def sampled(algorithm: AbstractAlgorithm, task: Task, agent: Any) -> Trajectory:
    """A trajectory to learn from, where the update wants it: on the device."""
    key = jax.random.key(1)
    if task.env is not None:
        env = task.env
        return jax.jit(lambda key: sample(algorithm, agent, env, start(algorithm, env, key), key)[1])(key)
    streams = HostStreams(algorithm, task.groups(algorithm.spec.num_envs, seed=1))
    trajectory = jax.device_put(streams.sample(agent, key)[0])
    streams.close()
    return trajectory


def compiled_play(env: AbstractEnvironment, parameters: PPO, segments: int = 50) -> Callable[[], float]:
    """A compiled environment under random actions, with new starts where episodes end; nothing is kept."""
    num_envs, length = parameters.num_envs, parameters.segment_length
    limit = env.max_episode_steps or ENDLESS
    assert isinstance(env.action_space, Discrete)
    choices = env.action_space.n

    def step(carry, row):
        state, elapsed = carry
        key, action, fresh = row
        state, _, terminated = jax.vmap(env.step)(key, state, action)
        elapsed = elapsed + 1
        ended = terminated | (elapsed >= limit)
        choose = jax.vmap(lambda ended, one, other: jax.tree.map(lambda a, b: jnp.where(ended, a, b), one, other))
        return choose(ended, (fresh, jnp.zeros_like(elapsed)), (state, elapsed)), None

    def segment(carry, key):
        for_steps, for_actions, for_starts = jax.random.split(key, 3)
        shape = (length, num_envs)
        rows = (
            jax.random.split(for_steps, shape),
            jax.random.randint(for_actions, shape, 0, choices),
            jax.vmap(jax.vmap(env.initial))(jax.random.split(for_starts, shape)),
        )
        return jax.lax.scan(step, carry, rows)

    @jax.jit
    def run(carry, key):
        return jax.lax.scan(segment, carry, jax.random.split(key, segments))[0]

    state = jax.vmap(env.initial)(jax.random.split(jax.random.key(0), num_envs))
    carry = (state, jnp.zeros(num_envs, jnp.int32))

    def play() -> float:
        nonlocal carry
        carry = jax.block_until_ready(run(carry, jax.random.key(1)))
        return segments * length * num_envs

    return play


def alternating_play(task: Task, parameters: PPO) -> Callable[[], float]:
    """Two EnvPools under random actions, one stepping while the other is served, in the order that training has."""
    import envpool

    each = parameters.num_envs // 2
    pools = [envpool.make_gymnasium(task.id, num_envs=each, seed=seed) for seed in (1, 2)]
    space, random = pools[0].action_space, np.random.default_rng(0)
    shape = (parameters.segment_length, each, *space.shape)
    actions = random.uniform(space.low, space.high, shape).astype(space.dtype)
    for pool in pools:
        pool.reset()

    def play() -> float:
        for time_step, action in enumerate(actions):
            for pool in pools:
                if time_step > 0:
                    pool.recv()
                pool.send(action)
        for pool in pools:
            pool.recv()
        return parameters.segment_length * parameters.num_envs

    return play


def update_flop(agent: Any, rows: int) -> float:
    """Floating-point operations in the matrix products of actor and critic over `rows` rows, forwards and backwards.

    A layer of m × n weights costs m·n multiply-adds a row forwards, as many for the gradient of its weights, and as
    many again for that of its input, which the first layer does not need. Nothing else is counted.
    """
    multiply_adds = 0
    for network in (agent.policy, agent.critic):
        first, *later = [leaf.size for leaf in jax.tree.leaves(network) if leaf.ndim == 2]
        multiply_adds += 2 * first + 3 * sum(later)
    return 2.0 * multiply_adds * rows


def peak() -> Callable[[float], float]:
    """The machine's best at a product of large matrices in single precision."""
    left, right = (jax.random.normal(jax.random.key(seed), (MATRIX, MATRIX)) for seed in (0, 1))
    product = jax.jit(jnp.matmul)

    def once() -> float:
        jax.block_until_ready(product(left, right))
        return 2.0 * MATRIX**3

    return lambda seconds: max(rate(once, 0) for _ in range(3 if seconds >= 0.5 else 1))


def peak_memory() -> int:
    """The most bytes that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), float(sys.argv[2]))
