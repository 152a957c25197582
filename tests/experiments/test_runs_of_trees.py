"""Runs whose observations and actions are trees or have masks, while they are played, gone on with and perturbed."""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Gates

import steepest
from steepest.core.spaces import Box, Dict, Discrete, MultiBinary, Spec, Tuple
from steepest.envs.environment import AbstractEnvironment
from steepest.envs.with_mask import WithMask
from steepest.experiments.trained import TrainedPolicy
from steepest.policies import network_policy
from steepest.sampling.compiled import sample, start
from steepest.video.stage import CompiledStage


class Lights(NamedTuple):
    lamp: jax.Array
    level: jax.Array


class Panel(AbstractEnvironment):
    """Name the lamp that is lit, set the dial to its level, and press the first switch but not the second.

    Each head earns up to 1 a step, whatever the others do.
    """

    id: ClassVar[str] = "Panel"
    max_episode_steps: ClassVar[int | None] = 4

    @property
    def observation_space(self):
        return Dict({"lamp": Discrete(3), "level": Box(-1, 1, (1,))})

    @property
    def action_space(self):
        return Dict({"lamp": Discrete(3), "panel": Tuple((Box(-1, 1, (1,)), MultiBinary(2)))})

    def initial(self, key):
        one, other = jax.random.split(key)
        return Lights(jax.random.randint(one, (), 0, 3, jnp.int32), jax.random.uniform(other, (1,), jnp.float32, -1, 1))

    def observe(self, state):
        return {"lamp": state.lamp, "level": state.level}

    def step(self, key, state, action):
        dial, switches = action["panel"]
        named = (action["lamp"] == state.lamp).astype(jnp.float32)
        pressed = 0.5 * (switches[0] + 1 - switches[1]).astype(jnp.float32)
        return self.initial(key), named + pressed + 1 - jnp.abs(dial - state.level)[0], jnp.zeros((), bool)

    def draw(self, state, action):
        shade = 0 if action is None else 100 * int(action["panel"][1][0]) + int(action["lamp"])
        return np.full((4, 4, 3), shade, np.uint8)


def test_trees_are_seen_while_they_are_played():
    stage = CompiledStage(Panel(), seed=0)
    obs = stage.reset()
    assert {name: each.shape for name, each in obs.items()} == {"lamp": (1,), "level": (1, 1)}
    action = {"lamp": np.array([2]), "panel": (np.array([[3.0]]), np.array([[1, 0]]))}
    seen = stage.step(action)
    assert seen.obs["level"].shape == (1, 1)
    assert (stage.picture() == 102).all()


def test_a_run_of_trees_goes_on_bit_for_bit(tmp_path):
    options = {"evaluation_episodes": 0, "num_envs": 4, "segment_length": 8, "hidden": (4,), "minibatch_size": 16}
    options |= {"normalise_observations": True, "epochs": 1}
    whole = steepest.train("ppo", Panel(), total_steps=128, **options)
    steepest.train("ppo", Panel(), total_steps=64, run_dir=tmp_path / "run", **options)
    longer = steepest.resume(tmp_path / "run", env=Panel(), total_steps=128)
    assert longer.finished
    jax.tree.map(np.testing.assert_array_equal, whole.agents[0], longer.agents[0])


MASKED, KEY = WithMask(Gates()), jax.random.key(0)


@pytest.mark.parametrize("kind", [steepest.FiniteDifferenceAscent, steepest.RegressionAscent])
def test_perturbed_policies_keep_to_what_is_allowed(kind):
    algorithm = kind(policy="tabular").for_env(MASKED, updates=1)
    agent = algorithm.init(KEY)
    _, rows, _ = jax.jit(lambda: sample(algorithm, agent, MASKED, start(algorithm, MASKED, KEY), KEY))()
    after, info = jax.jit(lambda: algorithm.update(KEY, agent, rows))()
    assert info.finite.names[0] == "action_mask[0]"
    assert bool(jnp.all(info.finite.flags))
    assert float(jnp.min(jnp.where(rows.valid, rows.reward, 0))) >= 0
    assert (np.asarray(agent.policy.logits) != np.asarray(after.policy.logits)).any()


@pytest.mark.parametrize("stochastic", [False, True])
def test_what_is_recorded_keeps_to_the_mask(stochastic):
    """A stage plays what `steepest record` shows, with a memory of what was seen."""

    class Drawn(Gates):
        render_fps = 7

        def draw(self, state, action):
            return np.full((2, 2, 3), 0 if action is None else 50 * int(action), np.uint8)

    env = WithMask(Drawn())
    algorithm = steepest.PPO(num_envs=4, memory="gru", memory_size=4, hidden=(4,)).for_env(env, updates=1)
    policy, stage = TrainedPolicy(algorithm, algorithm.init(KEY)), CompiledStage(env, 0)
    assert stage.render_fps == 7
    obs, ended = stage.reset(), False
    while not ended:
        action = policy.choose(obs, KEY if stochastic else None)
        assert bool(obs.mask[0, int(action[0])])
        seen = stage.step(action)
        assert (stage.picture() == 50 * int(action[0])).all()
        obs, ended = seen.obs, seen.terminated or seen.truncated


def test_gradients_of_trees_are_compared():
    spec = Spec(Panel().observation_space, Panel().action_space, num_envs=1, total_updates=1)
    policy, names = network_policy(KEY, spec, hidden=()), ["reward_to_go", "learned_baseline"]
    found = steepest.compare_gradients(policy, Panel(), names, KEY, episodes=20, repeats=3, discount=0.9)
    assert [row.name for row in found.rows] == names
    assert all(np.isfinite(row.quality.variance) for row in found.rows)
