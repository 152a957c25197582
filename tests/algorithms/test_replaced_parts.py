"""Parts replaced from Python: every advantage with every objective and every step rule, and networks of one's own."""

import dataclasses
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Corridor

import steepest
from steepest.advantages import GAE, MonteCarlo, NStep
from steepest.core.errors import InputError
from steepest.core.spaces import Spec
from steepest.critics import AbstractStateValue
from steepest.networks import Dense, FlatEncoder
from steepest.objectives import Clipped, Ratio, Score
from steepest.oracles import random_mdp
from steepest.policies import AbstractPolicy
from steepest.sampling.compiled import sample, start
from steepest.steps import Ascent, KLPenalty, Lagrangian, MinibatchAscent, Natural, Optimiser, TrustRegion

KEY = jax.random.key(0)
ENV_STREAMS, LENGTH = 64, 32
MDP = random_mdp(3, states=4, actions=3, discount=0.9)
ENV = MDP.as_env(LENGTH)
ADVANTAGES = {"monte_carlo": MonteCarlo(0.9), "n_step": NStep(0.9, 5), "gae": GAE(0.9, 0.95)}
OBJECTIVES = {"score": Score(), "ratio": Ratio(), "clipped": Clipped(0.2)}
CLIMB = MinibatchAscent(Optimiser(0.02), epochs=2, minibatch_size=ENV_STREAMS * LENGTH // 4)
RULES = {
    "ascent": Ascent(Optimiser(0.1)),
    "minibatch_ascent": CLIMB,
    "natural": Natural(0.02),
    "trust_region": TrustRegion(0.02),
    "kl_penalty": KLPenalty(CLIMB, target=0.01),
    "lagrangian": Lagrangian(CLIMB, radius=0.01),
}
MEANINGLESS = {("score", rule) for rule in ("minibatch_ascent", "trust_region", "kl_penalty", "lagrangian")}
"""Rules that ask for the objective away from the policy that acted, where the score is the gradient of nothing."""


@pytest.fixture(scope="module")
def base():
    """PPO on a table, and what it sampled once: all combinations learn from the same steps."""
    parameters = steepest.PPO(
        num_envs=ENV_STREAMS, segment_length=LENGTH, minibatch_size=512, policy="tabular", hidden=(), discount=0.9
    )
    algorithm = parameters.for_env(ENV, updates=10)
    agent = algorithm.init(KEY)
    return algorithm, agent, jax.jit(lambda: sample(algorithm, agent, ENV, start(algorithm, ENV, KEY), KEY)[1])()


def performance(policy):
    return float(MDP.performance(MDP.probabilities(policy)))


@pytest.mark.parametrize(("objective", "rule"), [*itertools.product(OBJECTIVES, RULES)])
def test_every_combination_that_has_a_meaning_improves_j_and_the_others_refuse(base, objective, rule):
    """By the exact J of the table, with each of the advantages; a random step would be up as often as down."""
    algorithm, agent, trajectory = base
    parts = {"objective": OBJECTIVES[objective], "policy_rule": RULES[rule]}
    if (objective, rule) in MEANINGLESS:
        with pytest.raises(InputError, match=r"policy_rule is .*the score is the gradient of nothing there"):
            dataclasses.replace(algorithm, **parts)
        return
    before = performance(agent.policy)
    best = performance(eqx.tree_at(lambda each: each.logits, agent.policy, _greedy()))
    for name, advantage in ADVANTAGES.items():
        changed = dataclasses.replace(algorithm, advantage=advantage, **parts)
        fresh = dataclasses.replace(agent, policy_state=changed.policy_rule.init(agent.policy))
        after, info = jax.jit(changed.update)(KEY, fresh, trajectory)
        assert bool(jnp.all(info.finite.flags)), name
        assert performance(after.policy) - before > 0.01 * (best - before), name


def _greedy():
    """Logits of the best policy, by policy iteration."""
    probabilities = np.full((4, 3), 1 / 3)
    for _ in range(10):
        values = np.asarray(MDP.action_values(probabilities))
        probabilities = np.eye(3)[values.argmax(axis=1)]
    return jnp.asarray(50.0 * probabilities, jnp.float32)


class Bilinear(AbstractPolicy):
    """A policy of the user's own: any module will do."""

    encoder: FlatEncoder
    hidden: Dense
    scale: jax.Array
    head: eqx.Module

    def __call__(self, obs):
        return self.head(self.hidden(self.encoder(obs)) * self.scale)


class Constant(AbstractStateValue):
    """A critic of the user's own: one number."""

    number: jax.Array

    def __call__(self, obs):
        return jnp.broadcast_to(self.number, jnp.shape(obs))


def own_networks(key, spec):
    from steepest.networks import make_head

    encoder, head = FlatEncoder(spec.observation), make_head(spec.action)
    hidden = Dense.initial(key, (encoder.size, head.inputs), activation="tanh", output_scale=0.1)
    return steepest.Networks(Bilinear(encoder, hidden, jnp.ones(()), head), Constant(jnp.zeros(())))


def test_networks_of_ones_own_train():
    env = Corridor()
    ppo = steepest.PPO(num_envs=4, segment_length=16, minibatch_size=32, epochs=2, learning_rate=1e-2)
    own = dataclasses.replace(ppo.for_env(env, updates=10), networks=own_networks)
    result = steepest.train(own, env, total_steps=640, evaluation_episodes=2)
    policy, critic = result.agents[0].policy, result.agents[0].critic
    assert isinstance(policy, Bilinear)
    assert float(policy.scale) != 1.0
    assert float(critic.number) != 0.0
    assert result.policy(2) in (0, 1)


def test_a_critic_without_a_rule_or_a_rule_without_a_critic_is_refused():
    algorithm = steepest.PPO(num_envs=2, segment_length=8, minibatch_size=8).for_env(Corridor(), updates=1)
    with pytest.raises(InputError, match="there is a critic, but no critic_rule"):
        dataclasses.replace(algorithm, critic_rule=None).init(KEY)
    alone = dataclasses.replace(algorithm, networks=steepest.PPO().architecture().policy_alone)
    with pytest.raises(InputError, match="there is a critic_rule, but no critic"):
        alone.init(KEY)


def replaced(spec):
    """A function from a task to an algorithm: PPO with other parts."""
    ppo = steepest.PPO(num_envs=spec.num_envs, segment_length=16, minibatch_size=64, hidden=(8,))
    return dataclasses.replace(ppo.build(spec), advantage=NStep(0.99, 5), policy_rule=TrustRegion(0.01))


def test_an_own_algorithm_trains_evaluates_and_resumes_bit_for_bit(tmp_path):
    options = {"total_steps": 1024, "seeds": 2, "evaluation_episodes": 3, "num_envs": 4}
    whole = steepest.train(replaced, "CartPole-v1", run_dir=tmp_path / "whole", **options)
    assert whole.finished
    assert whole.config.algorithm == "own"
    assert "TrustRegion" in whole.config.hyper_parameters["description"]
    assert steepest.evaluate(tmp_path / "whole", algorithm=replaced, episodes=3) == whole.evaluation

    class Enough(steepest.AbstractListener):
        def rows(self, rows):
            if rows[-1]["update"] >= 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        steepest.train(replaced, "CartPole-v1", run_dir=tmp_path / "cut", listeners=[Enough()], **options)
    again = steepest.resume(tmp_path / "cut", algorithm=replaced)
    for seed in (0, 1):
        jax.tree.map(np.testing.assert_array_equal, again.agents[seed], whole.agents[seed])
    np.testing.assert_array_equal(again.metrics["kl"], whole.metrics["kl"])


def test_another_algorithm_than_the_runs_own_is_refused_in_one_line(tmp_path):
    built = steepest.PPO(num_envs=4, segment_length=16, minibatch_size=64, hidden=(8,)).for_env(Corridor(), updates=4)
    run = tmp_path / "run"
    steepest.train(built, Corridor(), total_steps=256, run_dir=run, evaluation_episodes=0)
    with pytest.raises(InputError, match=r"an algorithm of your own, which no file holds\. Give it again"):
        steepest.resume(run, env=Corridor())
    with pytest.raises(InputError, match="environment Corridor: it was given as an object"):
        steepest.resume(run, algorithm=built)
    other = dataclasses.replace(built, objective=Clipped(0.3))
    with pytest.raises(InputError, match=r"it is not the one that the run was made with; .*0\.3.* was .*0\.2"):
        steepest.resume(run, algorithm=other, env=Corridor())
    assert steepest.resume(run, algorithm=built, env=Corridor()).finished
    with pytest.raises(InputError, match=r"it was built for the observation space Discrete\(n=5"):
        steepest.train(built, "CartPole-v1")
    with pytest.raises(InputError, match="num_envs is 3, but the algorithm was built for 4"):
        steepest.train(built, Corridor(), num_envs=3)
    with pytest.raises(InputError, match="clip_radius: the algorithm is your own; set it there"):
        steepest.train(built, Corridor(), clip_radius=0.3)
    with pytest.raises(InputError, match="algorithm is a function that returns a int"):
        steepest.train(lambda spec: 3, Corridor())


def test_a_spec_is_made_of_the_environment_once():
    algorithm = steepest.A2C(num_envs=3).for_env(Corridor(), updates=7)
    assert algorithm.spec == Spec(Corridor().observation_space, Corridor().action_space, 3, 7, 20)
