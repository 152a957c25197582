"""Training where observations and actions are trees, with masks and with stacked frames, from environment to policy."""

import json

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import steepest
from steepest.core.errors import EnvironmentFault, InputError
from steepest.core.spaces import Discrete, Mask, Masked, MaskedObservation
from steepest.envs.adapters.stacked_frames import StackedFrames
from steepest.envs.cart_pole import CartPole
from steepest.envs.frame_stack import FrameStack
from steepest.envs.tasks import resolve
from steepest.sampling.compiled import sample, start

SHORT = {"num_envs": 2, "segment_length": 16, "epochs": 1, "minibatch_size": 16, "hidden": (8,)}


class Lift(gymnasium.Env):
    """A lift with a dictionary to see and a dictionary to do: the reward is for the right floor and a small push."""

    observation_space = gymnasium.spaces.Dict(
        floor=gymnasium.spaces.Discrete(3, start=1),
        load=gymnasium.spaces.Tuple([gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.MultiBinary(2)]),
    )
    action_space = gymnasium.spaces.Dict(
        floor=gymnasium.spaces.Discrete(3, start=1), push=gymnasium.spaces.Box(-2, 2, (1,))
    )

    def _seen(self):
        return {"floor": self.floor, "load": (np.full(2, self.time / 10, np.float32), np.array([0, 1], np.int8))}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.floor, self.time = int(self.np_random.integers(1, 4)), 0
        return self._seen(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.time += 1
        reward = float(action["floor"] == self.floor) - 0.1 * float(action["push"][0]) ** 2
        self.floor = int(self.np_random.integers(1, 4))
        return self._seen(), reward, self.time >= 8, False, {}


class Doors(gymnasium.Env):
    """Three doors, of which one is locked at each step: the mask says which. To go through it is an error."""

    observation_space = gymnasium.spaces.Discrete(3)
    action_space = gymnasium.spaces.Discrete(3)
    convention = "info"
    never = False

    def __init__(self):
        if self.convention == "observation":
            seen = {"observation": gymnasium.spaces.Discrete(3), "action_mask": gymnasium.spaces.MultiBinary(3)}
            self.observation_space = gymnasium.spaces.Dict(seen)

    def allowed(self):
        stuck = self.time == 6 or (self.never and self.time == 3)  # at the end nothing is left to do
        return np.array([door != self.locked and not stuck for door in range(3)], np.int8)

    def _seen(self):
        if self.convention == "observation":
            return {"observation": self.locked, "action_mask": self.allowed()}, {}
        return self.locked, {"action_mask": self.allowed()} if self.convention == "info" else {}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.locked, self.time = int(self.np_random.integers(3)), 0
        return self._seen()

    def step(self, action):
        assert action != self.locked, "it is locked"
        reward, self.locked, self.time = float(action), int(self.np_random.integers(3)), self.time + 1
        seen, info = self._seen()
        return seen, reward, self.time >= 6, False, info


class DoorsOfObservation(Doors):
    convention = "observation"


class DoorsOfMethod(Doors):
    convention = "method"

    def action_masks(self):
        return self.allowed()


class NoWayOut(Doors):
    never = True


def test_trees_are_learnt_from_saved_and_loaded(tmp_path):
    steepest.train(
        "ppo",
        Lift,
        total_steps=64,
        evaluation_episodes=2,
        run_dir=tmp_path / "run",
        normalise_observations=True,
        max_episode_steps=8,
        **SHORT,
    )
    policy = steepest.load(tmp_path / "run", env=Lift)
    seen, _ = Lift().reset(seed=0)
    assert Lift.action_space.contains(policy(seen))
    batch = jax.tree.map(lambda *each: np.stack(each), seen, seen)
    assert policy(batch)["push"].shape == (2, 1)
    with pytest.raises(InputError, match=r"^obs is a int; an observation is Dict\("):
        policy(3)


@pytest.mark.parametrize("make", [Doors, DoorsOfObservation, DoorsOfMethod])
def test_no_action_that_is_ruled_out_is_ever_taken(make):
    task = resolve(make)
    assert task.observation_space == Masked(Discrete(3), Mask((3,)))
    steepest.train("ppo", make, total_steps=64, evaluation_episodes=4, **SHORT)  # the environment raises otherwise
    with pytest.raises(EnvironmentFault, match="it is locked"):
        steepest.train("ppo", make, total_steps=64, action_masks=False, **SHORT)


def test_exploration_and_replay_take_allowed_actions_alone():
    more = {"num_envs": 2, "segment_length": 4, "batch_size": 8, "warm_up_steps": 16, "capacity": 64, "hidden": (8,)}
    steepest.train("off_policy_actor_critic", Doors, total_steps=48, evaluation_episodes=2, **more)


def test_a_state_in_which_nothing_is_allowed_is_refused_by_name():
    wanted = r"NoWayOut: the action mask of environment 0 allows no action, after 3 steps of its episode"
    with pytest.raises(EnvironmentFault, match=wanted):
        steepest.train("ppo", NoWayOut, total_steps=64, **SHORT)


def test_masks_are_asked_for_where_there_are_none():
    with pytest.raises(InputError, match=r"^action_masks is True, but CartPole-v1 of steepest says nowhere"):
        resolve("CartPole-v1", action_masks=True)
    assert resolve("Taxi-v4", action_masks=True).backend == "gymnasium"


class HalfCart(CartPole):
    """A cart that may not be pushed to the right while it is there."""

    def mask(self, state):
        return jnp.stack([jnp.array(True), self.observe(state)[0] <= 0])


def test_a_compiled_environment_says_what_is_allowed():
    task = resolve(HalfCart())
    assert isinstance(task.observation_space, Masked)
    algorithm = steepest.PPO(**SHORT).for_env(task.env, updates=1)
    agent = algorithm.init(jax.random.key(0))
    _, rows, _ = sample(algorithm, agent, task.env, start(algorithm, task.env, jax.random.key(1)), jax.random.key(2))
    assert isinstance(rows.obs, MaskedObservation)
    assert (np.asarray(rows.action)[np.asarray(rows.obs.observation)[..., 0] > 0] == 0).all()
    _, info = algorithm.update(jax.random.key(3), agent, rows)
    assert bool(jnp.all(info.finite.flags))


def test_frames_are_stacked_alike_on_both_sides_and_never_across_an_end():
    env = FrameStack(CartPole(), 3)
    algorithm = steepest.PPO(**SHORT | {"segment_length": 64, "minibatch_size": 64}).for_env(env, updates=1)
    agent = algorithm.init(jax.random.key(0))
    _, rows, _ = sample(algorithm, agent, env, start(algorithm, env, jax.random.key(1)), jax.random.key(2))
    obs, ended = np.asarray(rows.obs), np.asarray(rows.terminated | rows.truncated)
    assert ended[:-1].any()
    for time, stream in np.argwhere(ended[:-1]):
        first = obs[time + 1, stream]
        np.testing.assert_array_equal(first, np.repeat(first[-1:], 3, axis=0))
    same = ~ended[:-1]
    np.testing.assert_array_equal(obs[1:][same][:, :2], obs[:-1][same][:, 1:])
    np.testing.assert_array_equal(np.asarray(rows.next_obs)[:-1][same], obs[1:][same])

    host = StackedFrames(resolve(Lift).make(2, 0), 3)
    assert dict(host.observation_space.spaces)["load"].spaces[0].shape == (3, 2)
    kept = host.reset()["load"][0]
    for time in range(1, 12):
        host.send({"floor": np.zeros(2, np.int32), "push": np.zeros((2, 1), np.float32)})
        step = host.receive()
        np.testing.assert_array_equal(step.next_obs["load"][0][:, :2], kept[:, 1:])
        kept = step.obs["load"][0]
        if time == 8:
            assert (kept == 0).all()


def test_frames_of_an_environment_whose_bounds_are_constants_of_its_own_are_stacked():
    result = steepest.train(steepest.PPO(**SHORT), "Pendulum-v1", frame_stack=3, total_steps=64, evaluation_episodes=0)
    assert result.policy.config.frame_stack == 3


def test_frames_need_numbers_to_stack():
    with pytest.raises(InputError, match=r"^frame_stack is 4, but observations of Doors are Discrete"):
        resolve(Doors, frame_stack=4)
    assert resolve("CartPole-v1", frame_stack=2).observation_space.shape == (2, 4)


@pytest.fixture(scope="module")
def lift(tmp_path_factory):
    """A run in the lift, whose observations and actions are trees."""
    place = tmp_path_factory.mktemp("lift") / "run"
    steepest.train(
        "ppo", Lift, total_steps=64, evaluation_episodes=0, run_dir=place, normalise_observations=True,
        max_episode_steps=8, **SHORT,
    )  # fmt: skip
    return place


def test_demonstrations_are_trees_too(lift, tmp_path):
    shown = steepest.demonstrate(lift, episodes=3, out=tmp_path / "shown.npz", env=Lift)
    assert len(shown) == 24
    assert sorted(shown.action) == ["floor", "push"]
    assert all(Lift.action_space.contains(jax.tree.map(lambda each, i=i: each[i], shown.action)) for i in range(24))
    assert set(shown.obs["floor"]) <= {1, 2, 3}
    result = steepest.train(
        "behaviour_cloning", Lift, demonstrations=tmp_path / "shown.npz", total_steps=4096, evaluation_episodes=1,
        max_episode_steps=8,
    )  # fmt: skip
    likelihood = result.metrics["log_likelihood"]
    assert likelihood[-1] > likelihood[0] + 0.5
    with pytest.raises(InputError, match=r"^demonstrations: obs has the arrays \{'obs': \[1\]\}, and observations of"):
        steepest.train("behaviour_cloning", Lift, demonstrations=([0], [0]), total_steps=64, max_episode_steps=8)


def test_demonstrations_come_with_their_masks(tmp_path):
    steepest.train("ppo", Doors, total_steps=32, evaluation_episodes=0, run_dir=tmp_path / "run", **SHORT)
    shown = steepest.demonstrate(tmp_path / "run", episodes=2, env=Doors, max_episode_steps=6)
    assert isinstance(shown.obs, MaskedObservation)
    assert (shown.obs.observation != shown.action).all()
    steepest.train("behaviour_cloning", Doors, demonstrations=shown, total_steps=256, evaluation_episodes=1)


@pytest.mark.parametrize("form", ["onnx", "stablehlo"])
def test_exported_policies_take_and_give_trees(lift, tmp_path, form):
    made = steepest.export(lift, format=form, out=tmp_path / form, observations=60, env=Lift)
    assert made.verification.agrees, made.verification
    about = json.loads((tmp_path / form / "policy.json").read_text())
    assert [key for key, _ in about["observation"]["parts"]] == ["floor", "load"]
    assert about["observation"]["parts"][1][1]["parts"][0][1]["name"] == "observation['load'][0]"


def test_a_program_of_arrays_alone_takes_trees_but_gives_none(lift, tmp_path):
    with pytest.raises(
        InputError, match=r"^format is 'numpy', and the policy has a part that only JAX can compute, Pro"
    ):
        steepest.export(lift, format="numpy", out=tmp_path / "numpy", observations=60, env=Lift)


class LiftOfFloors(Lift):
    """The same lift, where one of three doors is opened, and the one behind which there is a wall never is."""

    action_space = gymnasium.spaces.Discrete(3)

    def action_masks(self):
        return np.arange(1, 4) != self.floor

    def step(self, action):
        assert action + 1 != self.floor, "there is a wall"
        self.time += 1
        self.floor = int(self.np_random.integers(1, 4))
        return self._seen(), float(action), self.time >= 8, False, {}


@pytest.mark.parametrize("form", ["numpy", "onnx"])
def test_exported_policies_keep_to_masks(tmp_path, form):
    steepest.train(
        "ppo", LiftOfFloors, total_steps=64, evaluation_episodes=0, run_dir=tmp_path / "run",
        normalise_observations=True, max_episode_steps=8, **SHORT,
    )  # fmt: skip
    made = steepest.export(tmp_path / "run", format=form, observations=60, env=LiftOfFloors)
    assert made.verification.agrees, made.verification
    assert made.verification.played == 30


@pytest.mark.parametrize(
    "space",
    [gymnasium.spaces.Text(5), gymnasium.spaces.Graph(gymnasium.spaces.Box(0, 1), None),
     gymnasium.spaces.Sequence(gymnasium.spaces.Discrete(2))],
    ids=["Text", "Graph", "Sequence"],
)  # fmt: skip
@pytest.mark.parametrize("nested", [False, True])
def test_spaces_of_no_fixed_size_are_refused_in_one_line(space, nested):
    class Odd(Lift):
        observation_space = gymnasium.spaces.Dict(a=space) if nested else space

    with pytest.raises(InputError, match=f"^observation.*{type(space).__name__}") as refused:
        resolve(Odd)
    assert "\n" not in str(refused.value)
