"""How fast steepest is beside other libraries: the same hyper-parameters, measured in turns.

Usage: `python benchmarks/peers.py [--directory DIR] [--rounds N] [--only TEXT] [--json FILE]`. The other libraries are
installed into virtual environments of their own, once. `README.md` says what the numbers mean.
"""

import argparse
import contextlib
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

from harness import FOLDER, Summary, Worker, add_processor_time, announce, machine, write
from rich.console import Console
from rich.table import Table

INSTALLS = {
    # The JAX is steepest's own, so that the libraries are compared and not their compilers.
    "rejax": [["rejax==0.1.2", "gymnax==0.0.9", f"jax=={importlib.metadata.version('jax')}"]],
    "sb3": [
        ["torch==2.13.0"],
        ["stable-baselines3==2.9.2", "sb3-contrib==2.9.2", "gymnasium", "mujoco", "imageio"],
        ["envpool==1.2.5"],
    ],
}
"""For each virtual environment, what `pip install` is called with, one call after the other."""

SHARED = {
    "algorithm": "ppo",
    "env": "CartPole-v1",
    "activation": "tanh",
    "clip_global_norm": 0.5,
    "clip_radius": 0.2,
    "entropy_bonus": 0.0,
    "hidden": [64, 64],
    "learning_rate": 1e-3,
}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One set of hyper-parameters, and who runs it beside steepest.

    - `peers`: by the name to be shown, the script's further arguments.
    - `backends`: by the name to be shown, who runs steepest's environments.
    """

    title: str
    environment: str
    script: str
    settings: dict[str, Any]
    peers: dict[str, tuple[str, ...]]
    backends: dict[str, str] = dataclasses.field(default_factory=lambda: {"steepest": "compiled"})


COMPARISONS = (
    Comparison(
        "CartPole-v1, 64 × 32, minibatch 512, 4 epochs",
        "rejax",
        "rejax_cartpole.py",
        SHARED
        | {
            "num_envs": 64,
            "segment_length": 32,
            "minibatch_size": 512,
            "epochs": 4,
            "discount": 0.99,
            "gae_lambda": 0.95,
        },
        {"rejax": ()},
    ),
    Comparison(
        "CartPole-v1, 8 × 32, minibatch 256, 20 epochs",
        "sb3",
        "sb3_cartpole.py",
        SHARED
        | {
            "num_envs": 8,
            "segment_length": 32,
            "minibatch_size": 256,
            "epochs": 20,
            "discount": 0.98,
            "gae_lambda": 0.8,
        },
        {"SB3, default threads": ("0",), "SB3, 1 thread": ("1",)},
    ),
    Comparison(
        "TRPO on CartPole-v1 with sb3-contrib's defaults, 1 × 2048",
        "sb3",
        "sb3_contrib_trpo.py",
        {
            "algorithm": "trpo",
            "env": "CartPole-v1",
            "activation": "tanh",
            "hidden": [64, 64],
            "num_envs": 1,
            "segment_length": 2048,
            "kl_radius": 0.01,
            "cg_iterations": 15,
            "damping": 0.1,
            "backtracks": 10,
            "shrink": 0.8,
            "critic_learning_rate": 1e-3,
            "critic_epochs": 10,
            "minibatch_size": 128,
            "discount": 0.99,
            "gae_lambda": 0.95,
        },
        {"sb3-contrib, default threads": ("0",), "sb3-contrib, 1 thread": ("1",)},
    ),
    Comparison(
        "DDPG on Pendulum-v1, networks 256 × 256, batch 256, a gradient step for each step",
        "sb3",
        "sb3_ddpg.py",
        {
            "algorithm": "ddpg",
            "env": "Pendulum-v1",
            "activation": "relu",
            "hidden": [256, 256],
            "batch_size": 256,
            "learning_rate": 1e-3,
            "critic_learning_rate": 1e-3,
            "discount": 0.99,
            "target_rate": 0.005,
            "warm_up_steps": 256,
        },
        {"SB3, default threads": ("0",), "SB3, 1 thread": ("1",)},
    ),
    Comparison(
        "Recurrent PPO on CartPole-v1, LSTM of 64, 8 × 128, minibatch 128, 10 epochs",
        "sb3",
        "sb3_contrib_recurrent.py",
        SHARED
        | {
            "num_envs": 8,
            "segment_length": 128,
            "minibatch_size": 128,
            "epochs": 10,
            "discount": 0.99,
            "gae_lambda": 0.95,
            "memory": "lstm",
            "memory_size": 64,
        },
        {"sb3-contrib, default threads": ("0",), "sb3-contrib, 1 thread": ("1",)},
        {"steepest": "compiled", "steepest, Gymnasium's CartPole": "gymnasium"},
    ),
    Comparison(
        "PPO on EnvPool's Pong-v5 with the convolutions of Mnih et al., 8 × 128, minibatch 256, 4 epochs",
        "sb3",
        "sb3_pong.py",
        {
            "algorithm": "ppo",
            "env": "Pong-v5",
            "activation": "relu",
            "clip_global_norm": 0.5,
            "clip_radius": 0.1,
            "discount": 0.99,
            "encoder": "nature",
            "entropy_bonus": 0.01,
            "epochs": 4,
            "gae_lambda": 0.95,
            "hidden": [],
            "learning_rate": 5e-4,
            "minibatch_size": 256,
            "num_envs": 8,
            "segment_length": 128,
            "shared_network": True,
        },
        {"SB3, 1 thread": ("1",)},
        {"steepest": "envpool"},
    ),
)


@dataclasses.dataclass(frozen=True)
class Result:
    """What was measured: by contender, steepest first, the steps per second and what it said when it was ready."""

    comparison: Comparison
    speeds: dict[str, Summary]
    ready: dict[str, dict[str, Any]]

    @property
    def fastest_peer(self) -> str:
        """The contender beside steepest with the best median."""
        return max(self.comparison.peers, key=lambda name: self.speeds[name].median)

    @property
    def ratios(self) -> dict[str, Summary]:
        """Steepest on each backend over the fastest peer, round by round."""
        return {name: self.speeds[name].over(self.speeds[self.fastest_peer]) for name in self.comparison.backends}

    def dump(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "title": self.comparison.title,
            "settings": self.comparison.settings,
            "steps_per_second": {name: speed.dump() for name, speed in self.speeds.items()},
            "ready": self.ready,
            "fastest_peer": self.fastest_peer,
            "ratios": {name: ratio.dump() for name, ratio in self.ratios.items()},
        }


def install(directory: pathlib.Path, name: str) -> pathlib.Path:
    """The interpreter of a virtual environment, which is made and filled where it is missing."""
    environment = directory / name
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        announce(f"making the virtual environment {environment}")
        environment.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    for requirements in INSTALLS[name]:
        if not all(_has(python, each) for each in requirements):
            announce(f"installing {' '.join(requirements)}")
            subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
    return python


def _has(python: pathlib.Path, requirement: str) -> bool:
    name, _, wanted = requirement.partition("==")
    query = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    answer = subprocess.run([python, "-c", query, name], capture_output=True, text=True)
    found = answer.stdout.strip().partition("+")[0]  # 2.13.0+cpu is a 2.13.0
    return answer.returncode == 0 and wanted in ("", found)


def compare(
    comparison: Comparison, python: pathlib.Path, variables: dict[str, str], *, rounds: int, seconds: float
) -> Result:
    """Start every contender, each in a process of its own, then measure them in turns, so that noise hits all alike."""
    arguments = [json.dumps(comparison.settings), str(seconds)]
    own = [sys.executable, FOLDER / "peers" / "steepest_training.py", *arguments]
    commands = {name: [*own, backend] for name, backend in comparison.backends.items()}
    for name, further in comparison.peers.items():
        commands[name] = [python, FOLDER / "peers" / comparison.script, *arguments, *further]
    with contextlib.ExitStack() as stack:
        workers, ready = {}, {}
        for name, command in commands.items():
            announce(f"{comparison.title}: starting {name}")
            workers[name] = stack.enter_context(Worker(command, STEEPEST_COMPILATION_CACHE="off", **variables))
            ready[name] = workers[name].ready()
        samples: dict[str, list[float]] = {name: [] for name in workers}
        for index in range(rounds):
            for name, worker in workers.items():
                samples[name].append(worker.measure()["steps_per_second"])
            latest = ", ".join(f"{name} {values[-1]:,.0f}" for name, values in samples.items())
            announce(f"{comparison.title}: round {index + 1} of {rounds}: {latest} steps/s")
    return Result(comparison, {name: Summary.of(values) for name, values in samples.items()}, ready)


def show(results: list[Result]) -> None:
    """Print a table for each comparison."""
    console = Console()
    console.width = max(console.width, 110)
    for result in results:
        table = Table("", title=result.comparison.title, title_justify="left")
        first, *_ = result.comparison.backends
        for name in ("steps/s", "compile, s", f"{first} / this"):
            table.add_column(name, justify="right")
        for name, speed in result.speeds.items():
            compiling = result.ready[name]["compile_seconds"]
            table.add_row(
                name,
                speed.text(),
                "–" if compiling is None else f"{compiling:.1f}",
                "" if name == first else result.speeds[first].over(speed).text(),
            )
        console.print(table)
        for name, ratio in result.ratios.items():
            console.print(
                f"{name} / {result.fastest_peer}, round by round: minimum {min(ratio.samples):.2f}, median "
                f"{ratio.median:.2f}, maximum {max(ratio.samples):.2f}"
            )
        versions = {name: version for each in result.ready.values() for name, version in each["versions"].items()}
        console.print(", ".join(f"{name} {version}" for name, version in versions.items()) + "\n", highlight=False)


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where the virtual environments are."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    parser.add_argument(
        "--directory",
        type=pathlib.Path,
        default=cache / "steepest" / "peers",
        metavar="DIR",
        help="where the virtual environments are, or are made (default: %(default)s)",
    )


def main() -> None:
    """Measure the libraries in turns, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_directory(parser)
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (default: %(default)s)")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="the comparisons with this in their title, or with this library"
    )
    add_processor_time(parser)
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the numbers there too")
    options = parser.parse_args()

    chosen = [each for each in COMPARISONS if options.only == each.environment or options.only in each.title]
    if not chosen:
        parser.error(f"no title has {options.only!r} in it; there are: {[each.title for each in COMPARISONS]}")
    interpreters = {each.environment: install(options.directory, each.environment) for each in chosen}
    where = machine()
    results = [
        compare(
            each, interpreters[each.environment], options.processor_time, rounds=options.rounds, seconds=options.seconds
        )
        for each in chosen
    ]
    show(results)
    write(options.json, {"machine": where, "comparisons": [each.dump() for each in results]})


if __name__ == "__main__":
    main()
