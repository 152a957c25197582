"""G16: the automatic derivative of a pseudo-loss is the explicit sum, for every weight and every kind of policy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from conformance.worlds import DISCOUNT, endless, episodes_of, policy, wrong_values
from steepest.advantages import GAE, ImportanceWeighted, MonteCarlo, NStep, WholeReturn, elapsed
from steepest.core.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Spec
from steepest.core.trajectory import Trajectory
from steepest.critics import TabularValue
from steepest.estimators import LikelihoodRatio
from steepest.estimators.estimator import score_gradient
from steepest.estimators.likelihood_ratio import values
from steepest.objectives import Score, episode_scores
from steepest.policies import network_policy

LENGTH, STREAMS = 5, 4
summed = eqx.filter_jit(score_gradient)
ACTIONS = {
    "categorical": Discrete(3),
    "gaussian": Box(-1.0, 1.0, (2,)),
    "multi discrete": MultiDiscrete((2, 3)),
    "multi binary": MultiBinary(3),
}


@eqx.filter_jit
def sampled(kind: str, gaussian="gaussian"):
    spec = Spec(Box(-1.0, 1.0, (2,)), ACTIONS[kind], num_envs=STREAMS, total_updates=1)
    keys = jax.random.split(jax.random.key(0), 6)
    acting = network_policy(keys[0], spec, hidden=(5,), gaussian=gaussian, output_scale=1.0)
    obs = jax.random.normal(keys[1], (LENGTH, STREAMS, 2))
    action, log_prob = acting(obs).sample_and_log_prob(keys[2])
    never = jnp.zeros((LENGTH, STREAMS), bool)
    trajectory = Trajectory(
        obs=obs,
        action=action,
        next_obs=obs,
        reward=jax.random.normal(keys[3], (LENGTH, STREAMS)),
        log_prob=log_prob,
        terminated=never,
        truncated=never.at[2, 1].set(True),
        valid=jax.random.bernoulli(keys[4], 0.8, (LENGTH, STREAMS)),
    )
    return acting, trajectory, jax.random.normal(keys[5], (LENGTH, STREAMS))


@pytest.mark.parametrize(
    ("kind", "gaussian"),
    [(kind, "gaussian") for kind in ACTIONS] + [("gaussian", "state_dependent"), ("gaussian", "squashed")],
)
@pytest.mark.parametrize("factor", [None, 0.7])
def test_automatic_and_explicit_sums_agree(kind, gaussian, factor):
    """Row by row: the score of one action at a time, times its weight, summed in float64."""
    acting, trajectory, weight = sampled(kind, gaussian)
    vector, unravel = ravel_pytree(acting)
    score = jax.jit(jax.grad(lambda v, obs, action: unravel(v)(obs[None]).log_prob(action[None])[0]))
    time = np.array(elapsed(trajectory.truncated))
    explicit = np.zeros(len(vector))
    for row, stream in np.argwhere(np.asarray(trajectory.valid)):
        share = float(weight[row, stream]) * (1.0 if factor is None else factor ** int(time[row, stream]))
        one = score(vector, trajectory.obs[row, stream], trajectory.action[row, stream])
        explicit += share * np.asarray(one, np.float64)
    found = ravel_pytree(summed(Score(), acting, trajectory, weight, factor))[0]
    scale = np.abs(explicit).max() / STREAMS
    np.testing.assert_allclose(found, explicit / STREAMS, rtol=1e-5, atol=1e-5 * scale)


def test_weights_of_one_are_maximum_likelihood():
    """Behaviour cloning: the gradient of the mean log-probability of an episode."""
    acting, trajectory, _ = sampled("gaussian")

    def log_likelihood(each):
        return jnp.sum(jnp.where(trajectory.valid, each(trajectory.obs).log_prob(trajectory.action), 0)) / STREAMS

    wanted = ravel_pytree(jax.jit(jax.grad(log_likelihood))(acting))[0]
    one = jnp.ones((LENGTH, STREAMS))
    found = ravel_pytree(summed(Score(), acting, trajectory, one, None))[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["G3", "G4", "G10", "G11", "G12"])
def test_no_gradient_flows_through_the_weight(name):
    """Values and ratios are numbers here: the score of the row is all that is differentiated."""
    mdp, acting, critic = endless(), policy(), TabularValue(jnp.asarray(wrong_values(), jnp.float32))
    trajectory, _ = episodes_of(mdp, policy(9))
    value, next_value = values(critic, trajectory)
    if name == "G12":
        log_ratio = acting(trajectory.obs).log_prob(trajectory.action) - trajectory.log_prob
        weight, _ = ImportanceWeighted(DISCOUNT, "causal")(trajectory, log_ratio)
    else:
        advantage = {
            "G3": WholeReturn(DISCOUNT),
            "G4": MonteCarlo(DISCOUNT),
            "G10": NStep(DISCOUNT, 2),
            "G11": GAE(DISCOUNT, 0.9),
        }[name]
        weight = advantage(trajectory, value, next_value).advantage
    probs = np.asarray(jax.nn.softmax(acting.logits))
    explicit = np.zeros_like(probs, np.float64)
    for row, stream in np.argwhere(np.asarray(trajectory.valid)):
        state, action = int(trajectory.obs[row, stream]), int(trajectory.action[row, stream])
        explicit[state] += float(weight[row, stream]) * (np.eye(len(probs[0]))[action] - probs[state])
    found = summed(Score(), acting, trajectory, weight, None).logits
    np.testing.assert_allclose(found, explicit / trajectory.reward.shape[1], rtol=1e-4, atol=1e-6)


def test_the_score_of_an_episode_is_the_sum_over_its_steps():
    """E8: the log of a trajectory's probability is the sum of the logs of its factors, differentiated by θ."""
    acting, trajectory, _ = sampled("categorical")
    scores, _ = eqx.filter_jit(episode_scores)(acting, trajectory.obs, trajectory.action, trajectory.valid)
    vector, unravel = ravel_pytree(acting)

    @jax.jit
    @jax.grad
    def of_stream(v, obs, action, valid):
        return jnp.sum(unravel(v)(obs).log_prob(action) * valid.astype(jnp.float32))

    for stream in range(STREAMS):
        one = (np.asarray(each)[:, stream] for each in (trajectory.obs, trajectory.action, trajectory.valid))
        total = of_stream(vector, *one)
        np.testing.assert_allclose(scores[stream], total, rtol=1e-4, atol=1e-6)


def test_the_whole_return_refuses_to_be_discounted_differently():
    from steepest.core.errors import InputError

    with pytest.raises(InputError, match="discount_states is False"):
        LikelihoodRatio(DISCOUNT, WholeReturn(DISCOUNT), discount_states=False)
