"""What one update costs, beside PPO's of 10 epochs, on the same batch.

Usage: `python benchmarks/updates.py [--rounds N]`. The batch is HalfCheetah's in shape: 2,048 rows, 17 numbers
observed, 6 done, two networks of 64 × 64. `README.md` says what the numbers mean.
"""

import argparse
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from harness import Summary, machine
from rich.console import Console
from rich.table import Table

from steepest.algorithms import NPG, PPO, TRPO, DualDescent, PPOPenalty
from steepest.core.spaces import Box, Spec
from steepest.core.trajectory import Trajectory

SHAPE: dict[str, Any] = {"num_envs": 32, "segment_length": 64, "minibatch_size": 64}
CASES = {
    "ppo, 10 epochs": PPO(**SHAPE, epochs=10),
    "ppo_penalty, 10 epochs": PPOPenalty(**SHAPE, epochs=10),
    "dual_descent, 10 epochs": DualDescent(**SHAPE, epochs=10),
    "trpo, critic 10 epochs": TRPO(**SHAPE, critic_epochs=10),
    "trpo, Fisher information of 512 rows": TRPO(**SHAPE, critic_epochs=10, fisher_rows=512),
    "npg, critic 10 epochs": NPG(**SHAPE, critic_epochs=10),
}
CALLS = 5


def prepared(parameters):
    """The compiled update, its agent, and a batch."""
    spec = Spec(Box(-np.inf, np.inf, (17,)), Box(-1.0, 1.0, (6,)), 32, total_updates=100)
    algorithm, key = parameters.build(spec), jax.random.key(0)
    agent = algorithm.init(key)
    obs = jax.random.normal(key, (64, 32, 17))
    action, log_prob, _ = jax.vmap(lambda each: algorithm.act(key, agent, (), each))(obs)
    no = jnp.zeros((64, 32), bool)
    reward = jax.random.normal(key, (64, 32))
    trajectory = Trajectory(obs, action, jnp.roll(obs, -1, 0), reward, log_prob, no, no, ~no)
    update = jax.jit(algorithm.update)
    jax.block_until_ready(update(key, agent, trajectory))
    return lambda: jax.block_until_ready(update(key, agent, trajectory))


def main() -> None:
    """Measure all cases in turns, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each (default: %(default)s)")
    rounds = parser.parse_args().rounds
    machine()
    updates = {name: prepared(parameters) for name, parameters in CASES.items()}
    samples = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, update in updates.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                update()
            samples[name].append((time.perf_counter() - start) / CALLS)
    first, *_ = samples
    table = Table("update of 2,048 rows", "ms", "this / ppo")
    for name, seconds in samples.items():
        ratio = Summary.of([one / other for one, other in zip(seconds, samples[first], strict=True)])
        table.add_row(name, f"{1e3 * statistics.median(seconds):.1f}", ratio.text())
    Console().print(table)


if __name__ == "__main__":
    main()
