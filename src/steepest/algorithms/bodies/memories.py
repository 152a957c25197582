"""What acting carries for the networks of an agent."""

import equinox as eqx

from steepest.algorithms.bodies.agent import Agent
from steepest.core.types import PyTree
from steepest.critics import AbstractStateValue


class Memories(eqx.Module):
    """The memory of the policy, and of a critic with a memory of its own; both are empty without memory."""

    policy: PyTree = ()
    critic: PyTree = ()

    @classmethod
    def of(cls, carry: PyTree) -> "Memories":
        """A carry; one that is empty is that of networks without memory."""
        return carry if isinstance(carry, Memories) else cls()

    @classmethod
    def initial(cls, networks: PyTree, num_streams: int) -> "Memories":
        """At the start of an episode, of an agent or of networks."""
        policy, critic = networks.policy, networks.critic
        own = critic.initial_carry(num_streams) if isinstance(critic, AbstractStateValue) else ()
        return cls(policy.initial_carry(num_streams), own)

    def of_value(self, agent: Agent) -> PyTree:
        """The one that the state value sees by: its own, or that of the policy whose network it shares."""
        return self.policy if agent.critic is None else self.critic

    def of_critic_after(self, agent: Agent, obs: PyTree) -> PyTree:
        """What the critic remembers after the next observation of every stream."""
        critic = agent.critic
        return critic.remember(self.critic, obs) if isinstance(critic, AbstractStateValue) else self.critic
