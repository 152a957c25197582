"""The example of what goes wrong fails where the right one learns."""

import pathlib
import runpy
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from steepest.algorithms import OffPolicyActorCritic
from steepest.core.spaces import Discrete, Spec
from steepest.envs.environment import AbstractEnvironment
from steepest.training.compiled import train

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "broken_off_policy_actor_critic.py"


class Ledge(AbstractEnvironment):
    """Leave at once for 0.2; or walk three steps along a ledge to 1, where a wrong step costs 1.

    Who stumbles had better leave, and who does not had better walk: under uniform actions the ledge is worth −0.75.
    """

    id: ClassVar[str] = "Ledge"
    max_episode_steps: ClassVar[int | None] = 10

    @property
    def observation_space(self):
        return Discrete(4)

    @property
    def action_space(self):
        return Discrete(2)

    def initial(self, key):
        return jnp.zeros((), jnp.int32)

    def observe(self, state):
        return jnp.minimum(state, 3)

    def step(self, key, state, action):
        arrived = (state == 3) & (action == 1)
        wrong = jnp.where(state == 0, 0.2, -1.0)
        return state + 1, jnp.where(action == 0, wrong, jnp.where(arrived, 1.0, 0.0)), (action == 0) | arrived


def test_replayed_rewards_and_replayed_actions_do_not_teach_what_new_actions_do():
    """The transitions are the same at first; only the right one finds what they are worth to who walks well."""
    both = runpy.run_path(str(EXAMPLE))["both"]
    env, updates = Ledge(), 200
    parameters = OffPolicyActorCritic(
        num_envs=8, segment_length=8, replay_ratio=1 / 8, policy="tabular", batch_size=64, warm_up_steps=4000,
        learning_rate=1e-2, critic_learning_rate=3e-2, target_rate=0.1, discount=1.0, entropy_bonus=0.05, hidden=(),
    )  # fmt: skip
    spec = Spec(env.observation_space, env.action_space, parameters.num_envs, updates)
    late = {}
    for name, algorithm in both(parameters, spec).items():
        run = jax.jit(lambda key, algorithm=algorithm: train(algorithm, env, key, updates=updates))
        late[name] = np.nanmean(run(jax.random.key(0))[1]["return"][-20:])
    assert late["right"] > 0.8, late
    assert late["broken"] < 0.3, late
