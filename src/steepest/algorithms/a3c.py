"""Advantage actor–critic with asynchronous workers (A7)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from steepest.algorithms.hyper_parameters import Number, SegmentHyperParameters
from steepest.core.validation import check_number

if TYPE_CHECKING:
    from steepest.algorithms.actor_critic import ActorCritic
    from steepest.core.spaces import Spec


@dataclasses.dataclass(frozen=True)
class A3C(SegmentHyperParameters):
    """Asynchronous advantage actor–critic: workers push the gradients of short segments to shared parameters.

    A worker copies the parameters, samples a segment of its own environments, and sends the gradients. The parameters
    take one step with each gradient as it arrives, and the worker copies them again. Meanwhile the others' gradients
    have moved them: `staleness` in the metrics counts how many have.

    | part | choice |
    |---|---|
    | advantage | GAE(γ, λ) (G11); λ = 1 gives the returns to the end of the segment of the paper (G10) |
    | objective | score (G16) + β · entropy |
    | step rule | one ascent step with RMSProp, whose statistics are shared too |
    | critic | its own network, one step of regression to advantage + value (C3) |

    What differs from the paper: a worker is a process, an actor of Ray, and plays several environments, where the paper
    has a thread with one; so gradients are fewer and less noisy. Parameters are read and written as a whole, where the
    paper takes no lock. Actor and critic are separate networks, so there is no weight between their losses; there is
    no recurrent layer. Sampled synchronously, on a compiled program of one's own, it is A2C.

    Arrivals are not in an order that could be repeated, except with one worker. So the same seed does not give the same
    run, and a resumed run goes on from parameters and optimiser with new episodes.

    **Reference** Mnih et al., *Asynchronous Methods for Deep Reinforcement Learning*, 2016; the rates from its section 5
    and the supplement.
    """

    name: ClassVar[str] = "a3c"
    title: ClassVar[str] = "Advantage actor–critic, asynchronous (Mnih et al., 2016)"

    workers: int = 4
    """Processes that sample and compute gradients, each with a copy of the parameters."""
    ray_address: str | None = None
    """HOST:PORT of a Ray cluster to run them on, or auto for the one on this machine; if none is given, Ray is started
    here, and ends with the run."""
    num_envs: int = 4
    """Environments of each worker, sampled side by side."""
    segment_length: int = 5
    """Steps of each environment in an update; num_envs × segment_length rows in all."""
    learning_rate: Number = 7e-4
    """RMSProp's, for the policy."""
    anneal: bool = True
    """Let both learning rates fall linearly to 0 at the end of training."""
    trace: Number = 1.0
    """λ of GAE: 0 trusts the critic, 1 the returns."""
    entropy_bonus: Number = 0.01
    """β: the weight of the policy's entropy, in units of return per nat."""

    def __post_init__(self):
        super().__post_init__()
        check_number("workers", self.workers, at_least=1, whole=True, remedy="4, say.")
        check_number("learning_rate", self.learning_rate, above=0, remedy="7e-4 is usual.")

    def compose(self, spec: Spec) -> ActorCritic:
        """Put the parts together for a task."""
        from steepest.objectives import Score
        from steepest.steps import Ascent, Optimiser, root_mean_square

        def ascent(rate: Number) -> Ascent:
            return Ascent(Optimiser(rate, self.anneal_over(spec), self.clip_global_norm, root_mean_square))

        critic_rate = self.learning_rate if self.critic_learning_rate is None else self.critic_learning_rate
        return self.improving(spec, Score(), ascent(self.learning_rate), ascent(critic_rate))
