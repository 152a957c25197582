"""An action is the same number wherever a policy acts: in training, in evaluation, in demonstrations, and deployed."""

import inspect
import types
from typing import ClassVar

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium import spaces

import steepest
from steepest.core.conversion import from_environment, to_environment
from steepest.core.interfaces import RolloutSpec
from steepest.core.spaces import Spec
from steepest.envs.tasks import resolve
from steepest.experiments.evaluating import evaluate_agent
from steepest.experiments.recording import demonstrations_of
from steepest.experiments.trained import TrainedPolicy
from steepest.sampling.host import HostStreams

KEY = jax.random.key(0)
COUNTED = spaces.MultiDiscrete([3, 4], start=[5, -2])


class Told(gymnasium.Env):
    """Notes what it was given, and shows something else at every step."""

    observation_space, action_space = COUNTED, COUNTED
    received: list

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return self._shown(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.received.append((self._shown(), action))
        self.time += 1
        return self._shown(), 0.0, self.time == 6, False, {}

    def _shown(self):
        low = self.observation_space.start
        return low + np.array([self.time % 3, self.time % 4])


@pytest.mark.parametrize(
    "space",
    [COUNTED, spaces.Box(0, 5, (2,), np.int32), spaces.Box(-0.1, 0.1, (2,), np.float64), spaces.Discrete(3, start=7)],
    ids=["choices", "integers", "doubles", "choice"],
)
def test_an_action_is_the_same_wherever_a_policy_acts(space):
    kind = type("Kind", (Told,), {"action_space": space, "received": []})
    task = resolve(lambda: kind())
    spec = Spec(task.observation_space, task.action_space, num_envs=1, total_updates=1, max_episode_steps=6)
    algorithm = steepest.A2C(hidden=(), num_envs=1).build(spec)
    agent = algorithm.init(KEY)
    # Large enough to reach the bounds
    agent = jax.tree.map(lambda leaf: 100 * leaf if leaf.ndim == 2 else leaf, agent)
    policy = TrainedPolicy(algorithm, agent)

    def noted():
        pairs = [(obs, action) for obs, action in kind.received]
        kind.received.clear()
        assert pairs
        return pairs

    evaluate_agent(algorithm, task, agent, 0, episodes=1)
    played = noted()
    assert len({str(action) for _, action in played}) > 1
    for obs, action in played:
        deployed = policy(obs)
        np.testing.assert_array_equal(deployed, action)
        assert space.contains(deployed)
        assert np.asarray(deployed).dtype == np.asarray(action).dtype
    expert = types.SimpleNamespace(module=agent.policy)
    recorded, _ = inspect.unwrap(demonstrations_of)(expert, task, episodes=1, stochastic=False, max_episode_steps=6)
    for (obs, action), *row in zip(noted(), recorded.obs, recorded.action, strict=True):
        np.testing.assert_array_equal(row[0], obs)
        np.testing.assert_array_equal(row[1], action)
    recorded.checked("Told", task.observation_space, task.action_space)
    # In training too, where what is learnt from are the policy's own numbers
    groups = task.groups(1, 0)
    rows, _ = HostStreams(algorithm, groups).sample(agent, KEY)
    for index, (obs, action) in enumerate(noted()):
        np.testing.assert_array_equal(rows.obs[index], from_environment(task.observation_space, obs[None]))
        np.testing.assert_array_equal(to_environment(task.action_space, rows.action[index])[0], action)
    assert algorithm.rollout == RolloutSpec(len(rows.reward))


class Screen(Told):
    """Shows bytes."""

    observation_space = spaces.Box(0, 255, (2, 3), np.uint8)
    action_space = spaces.Box(-1, 1, (1,), np.float32)
    received: ClassVar[list] = []

    def _shown(self):
        return np.full((2, 3), 40 * self.time, np.uint8)


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ("ppo", {"segment_length": 8, "minibatch_size": 8, "epochs": 1, "normalise_observations": True}),
        ("reinforce", {}),
        ("importance_sampled_pg", {"batches": 2}),
        ("ddpg", {"batch_size": 4, "warm_up_steps": 8, "capacity": 20}),
    ],
)
def test_every_family_learns_from_bytes(algorithm, options):
    result = steepest.train(
        algorithm, Screen, total_steps=24, max_episode_steps=9, evaluation_episodes=2, num_envs=1, hidden=(4,),
        **options,
    )  # fmt: skip
    assert result.finished
    bright, dark = (result.policy(np.full((2, 3), each)) for each in (255, 0))
    assert np.any(bright != dark)
