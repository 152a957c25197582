"""A listener of your own: it hears of every row of metrics, every evaluation and every checkpoint.

    python examples/a_listener.py

This one writes a line for each evaluation, with how far the policy moved since the one before. A logger for any service
is as short. Listeners are called between compiled calls, in the process that you started; one that raises is named and
removed, and the run goes on.
"""

from collections.abc import Mapping, Sequence

import numpy as np

import steepest


class Diary(steepest.AbstractListener):
    """Prints a line for each evaluation."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._moved = 0.0

    def rows(self, rows: Sequence[Mapping[str, float]]) -> None:
        self._moved += sum(row["kl"] for row in rows)

    def evaluation(self, seed: int, steps: int, returns: np.ndarray) -> None:
        self.lines.append(f"seed {seed}, {steps:,} steps: {returns.mean():.0f}, after moving {self._moved:.3f} nats")
        self._moved = 0.0
        print(self.lines[-1])


def main(total_steps: int = 40_000) -> None:
    """Train with it."""
    steepest.train(
        "ppo",
        "CartPole-v1",
        total_steps=total_steps,
        evaluation_every=total_steps // 4,
        evaluation_episodes=10,
        listeners=[Diary()],
    )


if __name__ == "__main__":
    main()
