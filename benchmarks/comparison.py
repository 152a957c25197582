"""The comparison of the PPO paper: clipping, two penalties, and neither.

Usage: `python benchmarks/comparison.py [--directory DIR] [--steps N] [--seeds N] [--tasks ID …]`. Runs that are in the
directory already are read and not repeated. `comparison.md` holds what came of it.
"""

import argparse
import pathlib

import gymnasium
import numpy as np
from harness import machine
from rich.console import Console
from rich.progress import track
from rich.table import Table

import steepest
from steepest.algorithms import HyperParameters
from steepest.core.errors import NonFiniteError
from steepest.runs import metrics
from steepest.runs.directory import RunDirectory

TASKS = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5")
# The paper's hyper-parameters, but its 2,048 steps of an update come from 32 environments side by side.
SHARED = {"num_envs": 32, "segment_length": 64, "normalise_observations": True, "scale_rewards": True}
VARIANTS: dict[str, HyperParameters] = {
    "clipping, ε = 0.2": steepest.PPO(**SHARED),
    "adaptive penalty, d = 0.01": steepest.PPOPenalty(**SHARED),
    "fixed penalty, β = 3": steepest.PPOPenalty(**SHARED, adaptive=False, kl_price=3.0),
    "neither": steepest.PPOPenalty(**SHARED, adaptive=False, kl_price=0.0),
}
COUNTED = 100
"""So many episodes, the last of a run's training, make its score. The best run of a task is worth 1, chance 0."""


def score(run: RunDirectory) -> float:
    """The score of a run. One that stopped by itself counts with what it had reached."""
    columns = metrics.read(run.metrics)
    ended = columns["episodes"] > 0
    returns, episodes = columns["return"][ended][::-1], columns["episodes"][ended][::-1]
    last = np.arange(len(episodes)) <= np.searchsorted(np.cumsum(episodes), COUNTED)
    return float(np.average(returns[last], weights=episodes[last]))


def random_return(task: str) -> float:
    """The mean return of `COUNTED` episodes of uniformly random actions."""
    env, returns = gymnasium.make(task), []
    env.action_space.seed(0)
    for episode in range(COUNTED):
        env.reset(seed=episode)
        total, over = 0.0, False
        while not over:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    return float(np.mean(returns))


def main() -> None:
    """Train every case on every seed, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path("runs/comparison"))
    parser.add_argument("--steps", type=int, default=500_000, help="of each run (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--tasks", nargs="+", default=TASKS, help="default: %(default)s")
    given = parser.parse_args()
    machine()
    runs = {
        (task, name, seed): RunDirectory(given.directory / f"{task}-{index}-{seed}")
        for task in given.tasks
        for seed in range(given.seeds)
        for index, name in enumerate(VARIANTS)
    }
    options = {"total_steps": given.steps, "evaluation_episodes": 0}
    for (task, name, seed), run in track(runs.items(), description="training"):
        if not run.config.exists():
            try:
                steepest.train(VARIANTS[name], task, seed=seed, run_dir=run.path, **options)
            except NonFiniteError as error:
                print(f"{name} on {task}: {error}")
    table = Table("", "normalised score", *given.tasks)
    scores = {
        (task, name): np.array([score(runs[task, name, seed]) for seed in range(given.seeds)])
        for task in given.tasks
        for name in VARIANTS
    }
    floor = {task: random_return(task) for task in given.tasks}
    best = {task: max(scores[task, name].max() for name in VARIANTS) for task in given.tasks}
    for name in VARIANTS:
        normalised = [(scores[task, name] - floor[task]) / (best[task] - floor[task]) for task in given.tasks]
        each = {task: ", ".join(f"{one:.0f}" for one in scores[task, name]) for task in given.tasks}
        cells = [f"{scores[task, name].mean():.0f} ({each[task]})" for task in given.tasks]
        table.add_row(name, f"{np.mean(normalised):.2f}", *cells)
    table.add_row("random", "0.00", *(f"{floor[task]:.0f}" for task in given.tasks))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
