"""The bodies of algorithms: what is done with the parts that an algorithm names.

There are four, one for each way of learning: `actor_critic` from segments or whole episodes of the policy itself,
`episode_memory` from the episodes of earlier policies too, `replay_actor_critic` from a replay buffer of transitions,
and `perturbation_ascent` from returns at moved parameters. They share `agent` and functions, and no base class.
"""
