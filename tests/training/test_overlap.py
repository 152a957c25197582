"""Learning while the environments step: what is learnt from, and by whom it was played."""

import jax
import numpy as np
from served_environment import ServedEnvironment

from steepest.algorithms import A2C, DDPG
from steepest.core.spaces import Spec
from steepest.envs.pendulum import Pendulum
from steepest.sampling.host import HostStreams
from steepest.training.compiled import seed_keys, update_keys
from steepest.training.host import HostTraining, begin

ENV, ROWS = Pendulum(), 8
PARAMETERS = DDPG(
    num_envs=2, segment_length=4, replay_ratio=0.25, hidden=(8,), batch_size=16, warm_up_steps=0, learning_rate=1e-2
)


def served():
    return ServedEnvironment(ENV, num_envs=2, key=seed_keys(jax.random.key(5))[1])


def composed(parameters):
    return parameters.build(Spec(ENV.observation_space, ENV.action_space, 2, 10))


def trained(algorithm, **options):
    training = HostTraining(algorithm, [served()], seed=5, total_steps=4 * ROWS, **options)
    rows = []
    while not training.finished:
        rows += training.advance(0.0)
    return training, rows


def test_whoever_acts_is_one_update_behind_and_all_is_learnt_from_in_the_end():
    """Against a loop that is written out: trajectory k is played by the agent that learnt from those up to k − 2."""
    algorithm = composed(PARAMETERS)
    training, rows = trained(algorithm)
    state, streams, update = begin(algorithm, jax.random.key(5)), HostStreams(algorithm, [served()]), algorithm.update
    agents, played = [state.agent, state.agent], []
    for index in range(4):
        for_acting, for_learning = update_keys(state.key, index)
        played.append(streams.sample(agents[index], for_acting)[0])
        agents.append(jax.jit(update)(for_learning, agents[index + 1], played[index])[0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), training.agents()[5], agents[-1])
    assert [row["steps"] for row in rows] == [8, 16, 24, 32]
    assert [row["update"] for row in rows] == [1, 2, 3, 4]
    assert [row["gradient_steps"] for row in rows] == [2, 4, 6, 8]


def test_learning_happens_while_the_environments_step():
    training = HostTraining(composed(PARAMETERS), [served()], seed=5, total_steps=4 * ROWS)
    order, group = [], training._streams._groups[0]
    send, receive, learn = group.send, group.receive, training._learn
    group.send = lambda action: (order.append("send"), send(action))[1]
    group.receive = lambda: (order.append("receive"), receive())[1]
    training._learn = lambda collected: (order.append("learn"), learn(collected))[1]
    training.advance(0.0)
    assert order == ["send", "receive"] * 4 + ["send", "receive"] * 3 + ["send", "learn", "receive"]


def test_what_was_not_learnt_from_is_in_no_state_and_not_counted():
    training = HostTraining(composed(PARAMETERS), [served()], seed=5, total_steps=4 * ROWS)
    training.advance(0.0)
    state = training.states()[5]
    assert (int(state.steps), int(state.update), int(state.agent.experience.steps)) == (8, 1, 8)
    training.restore({5: state})
    rows = []
    while not training.finished:
        rows += training.advance(0.0)
    assert [row["steps"] for row in rows] == [16, 24, 32]


def test_on_policy_algorithms_learn_from_the_policy_as_it_is():
    algorithm = composed(A2C(num_envs=2, segment_length=4, hidden=(8,)))
    (one, _), (other, _) = trained(algorithm), trained(algorithm, overlap=False)
    jax.tree.map(np.testing.assert_array_equal, one.agents()[5], other.agents()[5])
    assert not algorithm.rollout.overlaps
