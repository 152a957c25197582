"""An on-policy update in two places: workers evaluate with copies of the agent, its owner improves it (A7)."""

import dataclasses

from steepest.algorithms.bodies.actor_critic import MEASURED_ROWS, ActorCritic, Evaluation
from steepest.algorithms.bodies.agent import Agent
from steepest.core.given_gradient import GivenGradient
from steepest.core.problem import AbstractProblem, with_kl
from steepest.core.trajectory import Trajectory


def copy_of(agent: Agent) -> Agent:
    """What a worker has to know of an agent in order to act and to compute gradients: no states of step rules."""
    return dataclasses.replace(agent, policy_state=None, critic_state=None)


def gradients(algorithm: ActorCritic, copy: Agent, trajectory: Trajectory) -> tuple[Evaluation, AbstractProblem]:
    """The evaluation of a trajectory with gradients in place of rows, so that nothing of it grows with the trajectory.

    `ActorCritic.improve` takes it as it takes any other, for step rules that ask for one gradient. The agent may have
    moved since.

    **Returns** that, and the problem that the policy's gradient is of, on some of its rows.
    """
    found = algorithm.evaluate(copy, trajectory)
    regression = found.regression
    given = dataclasses.replace(
        found,
        problem=GivenGradient.of(found.problem, copy.policy),
        regression=None if regression is None else GivenGradient.of(regression, copy.critic),
    )
    return given, with_kl(found.problem).thinned(MEASURED_ROWS)
