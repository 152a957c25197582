"""One table of all algorithms that play, and what is true of each of them."""

import dataclasses
import functools
import pathlib
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Chain, Corridor, Ending, Match, Probe, Spoilt

from steepest.algorithms import (
    A2C,
    A3C,
    ALGORITHMS,
    DDPG,
    DPG,
    NPG,
    PPO,
    TRPO,
    BatchActorCritic,
    DualDescent,
    FiniteDifferenceAscent,
    FittedPolicyIteration,
    ImportanceSampledPG,
    OffPAC,
    OffPolicyActorCritic,
    OnlineActorCritic,
    PGBaseline,
    PPOPenalty,
    RegressionAscent,
    Reinforce,
    RestrictedGradient,
)
from steepest.algorithms.presets import preset, preset_names
from steepest.core.errors import InputError
from steepest.core.spaces import Spec
from steepest.experiments.configuration import hyper_parameters
from steepest.training.compiled import begin, fault_names, train, update_once

SEGMENT = {"num_envs": 8, "segment_length": 16, "minibatch_size": 32, "hidden": (16,)}
REPLAY = {
    "num_envs": 8, "segment_length": 8, "replay_ratio": 1 / 16, "capacity": 4096, "batch_size": 32, "hidden": (16,),
    "learning_rate": 1e-2, "critic_learning_rate": 1e-2, "target_rate": 0.1, "warm_up_steps": 0, "discount": 0.9,
}  # fmt: skip
SMALL = {
    "ppo": PPO(**SEGMENT, epochs=2, learning_rate=1e-2),
    "ppo_penalty": PPOPenalty(**SEGMENT, epochs=2, learning_rate=1e-2),
    "dual_descent": DualDescent(**SEGMENT, epochs=2, learning_rate=1e-2),
    "trpo": TRPO(**SEGMENT, kl_radius=0.03, critic_epochs=2),
    "npg": NPG(**SEGMENT, kl_radius=0.03, critic_epochs=2),
    "batch_actor_critic": BatchActorCritic(**SEGMENT, critic_epochs=2, learning_rate=1e-2),
    "online_actor_critic": OnlineActorCritic(num_envs=8, hidden=(16,), learning_rate=3e-3, critic_learning_rate=1e-2),
    "a2c": A2C(num_envs=8, segment_length=8, hidden=(16,), learning_rate=1e-2, anneal=False),
    "a3c": A3C(num_envs=8, segment_length=8, hidden=(16,), learning_rate=1e-2, anneal=False),
    "reinforce": Reinforce(num_envs=8, hidden=(16,), learning_rate=1e-2),
    "pg_baseline": PGBaseline(num_envs=8, hidden=(16,), learning_rate=1e-2, critic_epochs=5),
    "restricted_gradient": RestrictedGradient(num_envs=8, hidden=(16,), radius=1e-2),
    "fitted_policy_iteration": FittedPolicyIteration(**SEGMENT, epochs=4, learning_rate=1e-2),
    "finite_difference_ascent": FiniteDifferenceAscent(),
    "regression_ascent": RegressionAscent(perturbations=15),
    "importance_sampled_pg": ImportanceSampledPG(num_envs=8, hidden=(16,), gradient_steps=2),
    "ddpg": DDPG(**REPLAY),
    "dpg": DPG(**REPLAY),
    "off_policy_actor_critic": OffPolicyActorCritic(**REPLAY),
    "off_pac": OffPAC(**REPLAY, behaviour="soft", uniform_share=0.1),
}
KEY = jax.random.key(0)


def composed(parameters, env, updates=100):
    streams = parameters.num_streams(env.observation_space, env.action_space)
    return parameters.build(Spec(env.observation_space, env.action_space, streams, updates, env.max_episode_steps))


def test_every_algorithm_is_in_the_table():
    """Those that learn from demonstrations have a file of their own."""
    assert set(SMALL) == {name for name, kind in ALGORITHMS.items() if not kind.demonstrated}


WORLDS = {"corridor": Corridor(), "box": Match(kind="box")} | {
    kind: Match(kind=kind) for kind in ("discrete", "multi_discrete", "multi_binary")
}
CHOOSING = {"fitted_policy_iteration", "off_pac"}
"""Algorithms for one discrete choice, or with an option here that is."""
CONTINUOUS = {"ddpg", "dpg"}
"""Algorithms for continuous actions."""


def fitting(name):
    """A small world whose actions suit an algorithm."""
    return Match(kind="box") if name in CONTINUOUS else Corridor()


LEARNING = [
    (name, world)
    for name in SMALL
    for world, unfit in (("corridor", CONTINUOUS), ("box", CHOOSING))
    if name not in unfit
] + [("ppo", world) for world in ("discrete", "multi_discrete", "multi_binary")]
"""Every algorithm on discrete and continuous actions; of those that treat the policy alike, one on every kind."""


@functools.cache
def training(name, world):
    """An algorithm, and what trains it for long: a number added to rewards -> first agent, state, metrics."""
    field = "noise_log_std" if name in CONTINUOUS else "log_std"
    own = {field: -0.5} if hasattr(SMALL[name], field) else {}
    algorithm = composed(dataclasses.replace(SMALL[name], **own), WORLDS[world])
    updates = 1500 if name == "online_actor_critic" else 150

    @jax.jit
    def program(added):
        env = Spoilt(WORLDS[world], added)
        return begin(algorithm, env, KEY).agent, *train(algorithm, env, KEY, updates=updates)

    return algorithm, program


@pytest.mark.parametrize(("name", "world"), LEARNING)
def test_every_algorithm_learns_to_answer_in_every_action_space(name, world):
    """The mean reward of a step rises clearly, from a random policy's."""
    _, _, metrics = training(name, world)[1](0.0)
    updates = len(metrics["return"])
    per_step = np.asarray(metrics["return"] / metrics["length"])
    before, after = np.nanmean(per_step[: updates // 30]), np.nanmean(per_step[-updates // 10 :])
    assert after > before + (0.05 if world in ("box", "corridor") else 0.12), (before, after)


@pytest.mark.parametrize("name", SMALL)
def test_a_reward_that_is_no_number_never_reaches_the_parameters_and_is_named(name):
    """However long training goes on. The program is that which learns from rewards that are numbers."""
    world = "box" if name in CONTINUOUS else "corridor"
    algorithm, program = training(name, world)
    first, state, _ = program(jnp.nan)
    assert fault_names(algorithm, WORLDS[world], KEY)[int(state.fault)] == "reward"
    jax.tree.map(np.testing.assert_array_equal, state.agent, first)


@pytest.mark.parametrize("name", ["ppo", "trpo", "a2c", "reinforce"])
@pytest.mark.parametrize("options", [{"normalise_observations": True, "scale_rewards": True}, {"gaussian": "squashed"}])
def test_every_option_of_every_algorithm_runs_and_stays_finite(name, options):
    env = Match(kind="box")
    algorithm = composed(dataclasses.replace(SMALL[name], **options), env)
    state, metrics = jax.jit(lambda key: train(algorithm, env, key, updates=4))(KEY)
    assert state.fault == -1
    assert all(jnp.all(jnp.isfinite(values)) for name, values in metrics.items() if name not in ("return", "length"))


@pytest.mark.parametrize("name", SMALL)
def test_an_algorithm_that_is_composed_again_is_equal_to_the_first(name):
    """Else JAX compiles again for every training in a process, and keeps all of the programs."""
    env = Corridor() if name in CHOOSING else fitting(name)
    one, other = (composed(dataclasses.replace(SMALL[name]), env) for _ in range(2))
    assert jax.tree.structure(one) == jax.tree.structure(other)


@pytest.mark.parametrize("name", SMALL)
def test_an_update_keeps_the_types_and_shapes_of_the_agent(name):
    """No float64, no weak type: the second update of a run is not traced again."""
    env = fitting(name)
    algorithm = composed(SMALL[name], env)
    state = jax.eval_shape(lambda key: begin(algorithm, env, key), KEY)
    after = jax.eval_shape(lambda state: update_once(algorithm, env, state)[0], state)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), state
    )
    assert all(leaf.dtype != jnp.float64 for leaf in jax.tree.leaves(after))


COMPUTED = {"ppo", "trpo", "finite_difference_ascent"}
"""Of each family, one whose numbers are compared too."""


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, "discount") for name in ("ppo", "trpo", "reinforce")]
    + [
        (name, field)
        for name, parameters in SMALL.items()
        for field in ("learning_rate", "kl_radius", "kl_target", "radius")
        if field in {each.name for each in dataclasses.fields(parameters)} and name not in ("npg", "batch_actor_critic")
    ],
)
def test_numbers_can_be_mapped_over(name, field):
    """Hyper-parameters are leaves: training over many at once can be traced, and gives what each gives alone."""
    env, values = fitting(name), jnp.array([0.003, 0.03])

    def policy_after(value):
        algorithm = composed(dataclasses.replace(SMALL[name], **{field: value}), env, updates=2)
        return train(algorithm, env, KEY, updates=2)[0].agent.policy

    if name not in COMPUTED:
        jax.eval_shape(jax.vmap(policy_after), values)
        return
    together = jax.jit(jax.vmap(policy_after))(values)
    alone = jax.jit(policy_after)(values[1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-3, atol=1e-5), together, alone)


@pytest.mark.parametrize(
    ("name", "field", "radius"),
    [
        ("ppo", "final_clip_radius", lambda algorithm: algorithm.objective.radius),
        ("trpo", "final_kl_radius", lambda algorithm: algorithm.policy_rule.radius),
        ("npg", "final_kl_radius", lambda algorithm: algorithm.policy_rule.radius),
    ],
)
def test_a_radius_gets_to_its_end_where_one_is_given(name, field, radius):
    stays = radius(composed(SMALL[name], Corridor()))
    falls = radius(composed(dataclasses.replace(SMALL[name], **{field: 0.01}), Corridor()))
    assert (falls.initial, falls.final) == (stays, 0.01)


def test_the_clip_radius_is_a_leaf_of_the_composition_too():
    env = Corridor()
    algorithm = composed(SMALL["ppo"], env)
    leaves = [algorithm.objective.radius, algorithm.policy_rule.optimiser.learning_rate, algorithm.discount]
    wider = eqx.tree_at(lambda each: each.objective.radius, algorithm, 0.5)
    assert leaves[0] == 0.2
    assert jax.tree.structure(wider) == jax.tree.structure(algorithm)


@pytest.mark.parametrize("name", ["ppo", "finite_difference_ascent"])
def test_nan_never_reaches_the_parameters_and_its_source_is_named(name):
    env = Probe(kind="nan observation")
    algorithm = composed(SMALL[name], env)
    before = begin(algorithm, env, KEY)
    after, _ = jax.jit(lambda state: update_once(algorithm, env, state))(before)
    assert fault_names(algorithm, env, KEY)[int(after.fault)] == "observation"
    jax.tree.map(np.testing.assert_array_equal, after.agent, before.agent)


@pytest.mark.parametrize(
    ("name", "shared"), [("ppo", False), ("ppo", True), ("a2c", False), ("a2c", True), ("trpo", False)]
)
def test_a_critic_learns_what_a_state_is_worth(name, shared):
    """Termination is worth nothing afterwards; a time limit is no termination, so its state keeps its full worth.

    With its own network, or with a head on the policy's (C5).
    """
    rate = {"critic_learning_rate": 2e-2} if name == "trpo" else {"learning_rate": 2e-2}
    parameters = dataclasses.replace(SMALL[name], discount=0.5, shared_network=shared, **rate)
    algorithm = composed(parameters, Chain(), updates=600)
    trained = jax.jit(lambda steps: train(algorithm, Chain(steps), KEY, updates=600)[0].agent)
    for steps, last, worth in [(1.0, -1.0, 1.0), (2.0, 1.0, 1.0), (jnp.inf, 1.0, 1 / (1 - 0.5))]:
        agent = trained(steps)
        critic = agent.policy.value if shared else agent.critic
        np.testing.assert_allclose(critic(jnp.array([[last]])), worth, atol=0.1, err_msg=f"{steps} steps")


def test_a_critic_of_single_transitions_learns_that_episodes_end():
    """The few errors at ends outweigh the many small ones between; clipped one by one, they would not."""
    env, discount = Ending(), 0.99
    parameters = dataclasses.replace(OnlineActorCritic(), discount=discount, critic_learning_rate=2e-3, hidden=(8,))
    algorithm = parameters.for_env(env, updates=20_000)
    agent = jax.jit(lambda key: train(algorithm, env, key, updates=20_000)[0].agent)(KEY)
    np.testing.assert_allclose(agent.critic(jnp.ones((1, 1))), 1 / (1 - discount * (1 - env.chance)), rtol=0.25)


@pytest.mark.parametrize(
    ("name", "field", "value", "message"),
    [
        (name, field, value, message)
        for name, kind in ALGORITHMS.items()
        for field, value, message in [
            ("discount", 1.5, "discount is 1.5; it must be at least 0 and at most 1"),
            ("num_envs", 0, "num_envs is 0; it must be a whole number and at least 1"),
            ("learning_rate", 0.0, "learning_rate is 0.0; it must be above 0"),
            ("gae_lambda", -0.1, "gae_lambda is -0.1; it must be at least 0 and at most 1"),
            ("clip_radius", -0.2, "clip_radius is -0.2; it must be above 0"),
            ("minibatch_size", 7, "must divide segment_length × num_envs = .* The nearest that does is"),
            ("epochs", 0, "epochs is 0"),
            ("segment_length", 0, "segment_length is 0"),
            ("entropy_bonus", -1.0, "entropy_bonus is -1.0"),
            ("clip_global_norm", 0.0, "clip_global_norm is 0.0"),
            ("log_std", 9.0, "log_std is 9.0"),
            ("hidden", (64, 0), "hidden is 0"),
            ("kl_stop", 0.0, "kl_stop is 0.0"),
            ("kl_radius", 0.0, "kl_radius is 0.0"),
            ("kl_target", -0.01, "kl_target is -0.01"),
            ("kl_price", -1.0, "kl_price is -1.0"),
            ("damping", -0.1, "damping is -0.1"),
            ("shrink", 1.5, "shrink is 1.5"),
            ("cg_iterations", 0, "cg_iterations is 0"),
            ("rounds", 0, "rounds is 0"),
            ("radius", 0.0, "radius is 0.0"),
            ("restricted_radius", 0.0, "restricted_radius is 0.0"),
            ("delta", 0.0, "delta is 0.0"),
            ("episodes_per_policy", 0, "episodes_per_policy is 0"),
            ("n_step", 0, "n_step is 0"),
            ("noise_log_std", 9.0, "noise_log_std is 9.0"),
            ("critic_epochs", 0, "critic_epochs is 0"),
            ("value_coefficient", 0.0, "value_coefficient is 0.0"),
            ("batch_size", 0, "batch_size is 0"),
            ("return_steps", 0, "return_steps is 0"),
            ("held_out", 1.0, "held_out is 1.0; it must be at least 0 and at most 0.9"),
            ("workers", 0, "workers is 0; it must be a whole number and at least 1"),
        ]
        if field in {each.name for each in dataclasses.fields(kind)}
    ],
)
def test_what_cannot_work_is_refused_by_name(name, field, value, message):
    with pytest.raises(InputError, match=message):
        ALGORITHMS[name](**{field: value})


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_is_none_of_the_choices_is_refused_with_the_choices(name):
    for field, message in (("policy", "it must be 'network'"), ("activation", "'tanh', 'relu', 'elu'")):
        wrong = ALGORITHMS[name]()
        object.__setattr__(wrong, field, "lin")  # which the checks of types in these tests would not let through
        with pytest.raises(InputError, match=f"{field} is 'lin'; .*{message}"):
            wrong.__post_init__()


EPISODIC = [
    {"returns": "whole_return", "baseline": "average_return"},
    {"discount_states": True, "baseline": "per_time_step"},
    {"baseline": "average_to_go", "normalise_advantages": False},
]


@pytest.mark.parametrize("options", EPISODIC, ids=["whole return", "states discounted", "average to go"])
def test_every_weight_of_an_episode_teaches(options):
    """G3 to G6 as choices of REINFORCE: all of them climb the same hill."""
    env = Corridor()
    algorithm = composed(dataclasses.replace(SMALL["reinforce"], learning_rate=3e-2, **options), env)
    _, metrics = jax.jit(lambda key: train(algorithm, env, key, updates=100))(KEY)
    per_step = np.asarray(metrics["return"] / metrics["length"])
    assert np.mean(per_step[-10:]) > np.mean(per_step[:5]) + 0.1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ppo", {"kl_stop": 0.01}),
        ("ppo_penalty", {"kl_stop": 0.01}),
        ("ppo_penalty", {"adaptive": False}),
        ("dual_descent", {"rounds": 2, "reverse_kl": True}),
        ("trpo", {"solver": "dense", "hidden": (), "fisher": "empirical", "fisher_rows": 32}),
        ("npg", {"shared_network": True}),
        ("batch_actor_critic", {"n_step": 3, "shared_network": True}),
        ("online_actor_critic", {"num_envs": 1}),
    ],
    ids=str,
)
def test_the_options_of_one_algorithm_run_and_stay_finite(name, options):
    env = Corridor()
    algorithm = composed(dataclasses.replace(SMALL[name], **options), env)
    state, metrics = jax.jit(lambda key: train(algorithm, env, key, updates=4))(KEY)
    assert state.fault == -1
    assert all(jnp.all(jnp.isfinite(values)) for name, values in metrics.items() if name not in ("return", "length"))


def test_the_whole_return_is_not_discounted_twice():
    with pytest.raises(InputError, match="discount_states is True; the whole return"):
        Reinforce(returns="whole_return", discount_states=True)


@pytest.mark.parametrize("name", SMALL)
def test_every_column_is_explained(name):
    env = fitting(name)
    algorithm = composed(SMALL[name], env)
    columns = jax.eval_shape(lambda key: train(algorithm, env, key, updates=1), KEY)[1]
    explained = set(re.findall(r"`(\w+)`", (pathlib.Path(__file__).parents[2] / "docs" / "metrics.md").read_text()))
    assert set(columns) <= explained


def test_without_a_critic_there_is_no_option_to_share_and_a_table_has_no_layers():
    assert "shared_network" not in {field.name for field in dataclasses.fields(Reinforce)}
    with pytest.raises(InputError, match="shared_network is True, but policy is 'tabular'"):
        PPO(shared_network=True, policy="tabular")


def test_every_preset_is_one_that_its_algorithm_accepts():
    found = 0
    for name, envs in preset_names().items():
        for env in envs:
            hyper_parameters(name, preset(name, env))
            found += 1
    assert found
