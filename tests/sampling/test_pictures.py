"""Pictures are bytes wherever they are kept: only their encoder makes numbers of them."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from steepest import PPO
from steepest.core.conversion import from_environment
from steepest.core.spaces import Box, Dict, Discrete, MultiBinary, Spec, map_leaves
from steepest.core.trajectory import Trajectory
from steepest.envs.catch import Catch
from steepest.envs.frame_stack import FrameStack
from steepest.envs.tasks import resolve
from steepest.replay import ReplayBuffer
from steepest.sampling.compiled import sample, start
from steepest.sampling.demonstration_source import DemonstrationSource
from steepest.sampling.host import HostStreams

KEY = jax.random.key(0)
SPACE = Dict({"seen": Box(0, 255, (4, 4, 3), dtype=np.uint8), "switches": MultiBinary(2)})
SMALL = PPO(num_envs=2, segment_length=3, minibatch_size=6, encoder="mlp", hidden=(4,), normalise_observations=True)


class Wall(gymnasium.Env):
    observation_space = gymnasium.spaces.Dict(
        seen=gymnasium.spaces.Box(0, 255, (4, 4, 3), np.uint8), switches=gymnasium.spaces.MultiBinary(2)
    )
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


def kinds(*trees):
    return {leaf.dtype.name for tree in trees for leaf in jax.tree.leaves(tree)}


def test_compiled_environments_sample_bytes():
    env = FrameStack(Catch(), 2)
    actor = SMALL.for_env(env, updates=1)
    agent = actor.init(KEY)
    _, rows, _ = jax.eval_shape(lambda agent: sample(actor, agent, env, start(actor, env, KEY), KEY), agent)
    assert rows.obs.shape == rows.next_obs.shape == (3, 2, 2, 10, 10, 1)
    assert kinds(rows.obs, rows.next_obs) == {"uint8"}


def test_the_buffers_of_the_host_and_the_ring_hold_bytes():
    task = resolve(Wall)
    assert task.observation_space == SPACE
    actor = SMALL.for_env(task, updates=1)
    agent, streams = actor.init(KEY), HostStreams(actor, task.groups(2, 0))
    rows, _ = streams.sample(agent, KEY)
    streams.close()
    assert kinds(rows.obs["seen"], rows.next_obs["seen"]) == {"uint8"}
    ring = ReplayBuffer.initial(Spec(SPACE, Discrete(2), 2, 1), 8).add(jax.tree.map(jnp.asarray, rows))
    assert isinstance(rows, Trajectory)
    assert kinds(ring.obs["seen"], ring.next_obs["seen"]) == {"uint8"}
    np.testing.assert_array_equal(ring.obs["seen"][:6], rows.obs["seen"].reshape(6, 4, 4, 3))


def test_demonstrations_hold_bytes():
    shown = map_leaves(lambda leaf: np.ones((5, *leaf.shape), np.int64), SPACE)
    assert kinds(from_environment(SPACE, shown)["seen"]) == {"uint8"}
    blank = DemonstrationSource.blank(Spec(SPACE, Discrete(2), 2, 1))
    assert kinds(blank.obs["seen"]) == {"uint8"}
