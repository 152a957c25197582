"""Advantage actor–critic with asynchronous workers (A7)."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from steepest.algorithms.a2c import A2C
from steepest.core.validation import check_number


@dataclasses.dataclass(frozen=True)
class A3C(A2C):
    """Asynchronous advantage actor–critic: workers push the gradients of short segments to shared parameters.

    A worker copies the parameters, samples a segment of its own environments, and sends the gradients. The parameters
    take one step with each gradient as it arrives, and the worker copies them again. Meanwhile the gradients of others
    have moved them: `staleness` in the metrics counts how many have.

    The parts are those of A2C. So the two differ in who samples, and in the parameters that a gradient belongs to; in
    `steepest.training.compiled.train`, which knows no workers, there is no difference.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11); λ = 1 gives the returns to the end of the segment of the paper (G10) |
    | objective | score (G16) + β · entropy |
    | step rule | one ascent step with RMSProp, whose statistics are shared too |
    | critic | its own network, one step of regression to advantage + value (C3) |

    What differs from the paper: a worker is a process, an actor of Ray, and plays several environments, where the paper
    has a thread with one; so gradients are fewer and less noisy. Parameters are read and written as a whole, where the
    paper takes no lock. Actor and critic are separate networks, so there is no weight between their losses; there is
    no recurrent layer.

    `kl` is that of the policy of the worker's last copy to that of this one: how far all of them have moved it
    meanwhile. Workers compute on processors; only the step itself is made on an accelerator, where there is one.

    With more than one worker, gradients arrive in an order that cannot be repeated. So the same seed does not give the
    same run, and a resumed run goes on from parameters and optimiser, with new episodes.

    **Reference** Mnih et al., *Asynchronous Methods for Deep Reinforcement Learning*, 2016; defaults from its section 5
    and the supplement.
    """

    name: ClassVar[str] = "a3c"
    asynchronous: ClassVar[bool] = True
    title: ClassVar[str] = "Advantage actor–critic, asynchronous (Mnih et al., 2016)"

    num_envs: int = 8
    """Environments of each worker, sampled side by side."""
    workers: int = 4
    """Processes that sample and compute gradients, each with a copy of the parameters."""
    ray_address: str | None = None
    """HOST:PORT of a Ray cluster that runs, or auto for the one on this machine. When left out, Ray is started here and
    ends with the run."""

    def __post_init__(self):
        super().__post_init__()
        check_number("workers", self.workers, at_least=1, whole=True, remedy="4, say.")
