"""What other libraries reach, trained and evaluated here: their settings, two tasks of MuJoCo, returns and minutes.

Usage: `python benchmarks/others.py [--directory DIR] [--seeds N] [--steps N] [--only TEXT]`. Stable-Baselines3 and
sb3-contrib are installed into a virtual environment of their own, once. Every run is a row of `results/others.csv`, and
what is there already is not run again; `python docs/make_results.py` makes a table of it.

Every run keeps to one processor, so that those who use several are not ahead, and two of these commands can share a
machine: `--processor 0 --only RUN` beside `--processor 1 --only OTHER`.
"""

import argparse
import csv
import dataclasses
import itertools
import json
import os
import sys
from typing import Any

from harness import FOLDER, Worker, announce, machine
from peers import add_directory, install

FILE = FOLDER / "results" / "others.csv"
FIELDS: tuple[str, ...] = ("contender", "env", "seed", "steps", "return", "episodes", "seconds", "versions")
EPISODES = 100
TASKS = ("HalfCheetah-v5", "Hopper-v5")

# RL Zoo's, from ppo.yml and trpo.yml of April 2026: for HalfCheetah-v4 and Hopper-v4.
ZOO_NETWORK = {
    "log_std_init": -2,
    "ortho_init": False,
    "activation_fn": "ReLU",
    "net_arch": {"pi": [256, 256], "vf": [256, 256]},
}
ZOO_PPO = {
    "HalfCheetah-v5": {
        "n_envs": 1,
        "n_steps": 512,
        "batch_size": 64,
        "n_epochs": 20,
        "gamma": 0.98,
        "gae_lambda": 0.92,
        "learning_rate": 2.0633e-05,
        "ent_coef": 0.000401762,
        "clip_range": 0.1,
        "max_grad_norm": 0.8,
        "vf_coef": 0.58096,
        "policy_kwargs": ZOO_NETWORK,
    },
    "Hopper-v5": {
        "n_envs": 1,
        "n_steps": 512,
        "batch_size": 32,
        "n_epochs": 5,
        "gamma": 0.999,
        "gae_lambda": 0.99,
        "learning_rate": 9.80828e-05,
        "ent_coef": 0.00229519,
        "clip_range": 0.2,
        "max_grad_norm": 0.7,
        "vf_coef": 0.835671,
        "policy_kwargs": ZOO_NETWORK,
    },
}
ZOO_TRPO = {
    "n_envs": 2,
    "n_steps": 1024,
    "batch_size": 128,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "sub_sampling_factor": 1,
    "cg_max_steps": 25,
    "cg_damping": 0.1,
    "n_critic_updates": 20,
    "learning_rate": 1e-3,
}
# CleanRL's ppo_continuous_action.py. What steepest has no field for: advantages standardised in each minibatch.
CLEAN_RL = {
    "num_envs": 1,
    "segment_length": 2048,
    "minibatch_size": 64,
    "epochs": 10,
    "discount": 0.99,
    "gae_lambda": 0.95,
    "learning_rate": 3e-4,
    "anneal": True,
    "clip_radius": 0.2,
    "value_clip_radius": 0.2,
    "entropy_bonus": 0.0,
    "clip_global_norm": 0.5,
    "log_std": 0.0,
    "normalise_observations": True,
    "scale_rewards": True,
}


@dataclasses.dataclass(frozen=True)
class Contender:
    """Who learns, and with what.

    - `script`: in `peers/`.
    - `environment`: the virtual environment, one of `peers.INSTALLS`; steepest's own where it is None.
    - `hyper`: by task.
    - `preset`: whether steepest's presets apply.
    """

    algorithm: str
    script: str
    hyper: dict[str, dict[str, Any]]
    environment: str | None = None
    preset: bool = False


NONE: dict[str, dict[str, Any]] = {task: {} for task in TASKS}
CONTENDERS = {
    "steepest ppo": Contender("ppo", "steepest_whole_run.py", NONE, preset=True),
    "steepest trpo": Contender("trpo", "steepest_whole_run.py", NONE, preset=True),
    "steepest ppo, CleanRL's settings": Contender("ppo", "steepest_whole_run.py", dict.fromkeys(TASKS, CLEAN_RL)),
    "Stable-Baselines3 PPO, RL Zoo's settings": Contender("ppo", "sb3_whole_run.py", ZOO_PPO, "sb3"),
    "sb3-contrib TRPO, RL Zoo's settings": Contender(
        "trpo",
        "sb3_whole_run.py",
        {"HalfCheetah-v5": ZOO_TRPO | {"target_kl": 0.04}, "Hopper-v5": ZOO_TRPO},
        "sb3",
    ),
}

Row = dict[str, str]


def learn(name: str, task: str, seed: int, steps: int, interpreter: str | os.PathLike) -> Row:
    """Train once, in a process of its own, and return the row."""
    contender = CONTENDERS[name]
    settings = {
        "algorithm": contender.algorithm,
        "env": task,
        "seed": seed,
        "steps": steps,
        "episodes": EPISODES,
        "hyper": contender.hyper[task],
        "preset": contender.preset,
    }
    announce(f"{name} on {task}, seed {seed}")
    command = [interpreter, FOLDER / "peers" / contender.script, json.dumps(settings)]
    with Worker(command, STEEPEST_COMPILATION_CACHE="off", OMP_NUM_THREADS="1") as worker:
        came_to = worker.ready()
    return {
        "contender": name,
        "env": task,
        "seed": str(seed),
        "steps": str(steps),
        "return": f"{came_to['return']:.4f}",
        "episodes": str(EPISODES),
        "seconds": f"{came_to['seconds']:.0f}",
        "versions": ", ".join(f"{name} {version}" for name, version in came_to["versions"].items()),
    }


def read() -> list[Row]:
    """The rows that there are."""
    if not FILE.exists():
        return []
    with FILE.open(newline="") as file:
        return list(csv.DictReader(file))


def add(row: Row) -> None:
    """Add a row, in its place, to what is in the file by now."""
    order = list(CONTENDERS)
    rows = sorted([*read(), row], key=lambda each: (each["env"], order.index(each["contender"]), int(each["seed"])))
    with FILE.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Make the runs that are missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_directory(parser)
    parser.add_argument("--seeds", type=int, default=2, metavar="N", help="0 to N − 1 (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=1_000_000, help="of each run (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="the runs with this in CONTENDER on TASK")
    parser.add_argument("--processor", type=int, metavar="NUMBER", help="the one to keep to; the first when left out")
    given = parser.parse_args()
    chosen = [(task, name) for task in TASKS for name in CONTENDERS if given.only in f"{name} on {task}"]
    if not chosen:
        every = "; ".join(f"{name} on {task}" for task in TASKS for name in CONTENDERS)
        parser.error(f"no run has {given.only!r} in its name; there are: {every}")
    if hasattr(os, "sched_setaffinity"):  # Linux; what is started from here inherits it
        allowed = os.sched_getaffinity(0)
        processor = min(allowed) if given.processor is None else given.processor
        if processor not in allowed:
            parser.error(f"--processor is {processor}; there are: {', '.join(map(str, sorted(allowed)))}")
        os.sched_setaffinity(0, {processor})
    machine()
    done = {(row["contender"], row["env"], row["seed"], row["steps"]) for row in read()}
    for (task, name), seed in itertools.product(chosen, range(given.seeds)):
        if (name, task, str(seed), str(given.steps)) in done:
            continue
        environment = CONTENDERS[name].environment
        interpreter = sys.executable if environment is None else install(given.directory, environment)
        row = learn(name, task, seed, given.steps, interpreter)
        announce(f"{name} on {task}, seed {seed}: {row['return']} in {row['seconds']} s")
        add(row)


if __name__ == "__main__":
    main()
