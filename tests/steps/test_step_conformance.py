"""One table of all rules that limit the step, and what is true of each of them on problems exact and sampled."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from steepest.core.errors import InputError
from steepest.core.problem import SampledProblem
from steepest.core.schedules import Linear, at_progress
from steepest.core.spaces import Box, Discrete, Spec
from steepest.core.trajectory import Batch
from steepest.curvature import NaturalDirection
from steepest.objectives import Clipped, Ratio
from steepest.oracles import LinearQuadratic, random_mdp
from steepest.policies import LinearGaussian, TabularPolicy, network_policy
from steepest.steps import (
    Ascent,
    Greedy,
    KLPenalty,
    Lagrangian,
    MinibatchAscent,
    Natural,
    Optimiser,
    RepeatedAscent,
    Restricted,
    TrustRegion,
)
from steepest.steps.trust_region import ACCEPTED, NO_GAIN, NOT_FINITE, TOO_FAR

KEY = jax.random.key(0)
RADIUS = 0.01
DENSE = NaturalDirection(1e-2, "dense")


def stepped(rule, policy, problem):
    """One step from the first state, compiled as a whole."""
    return jax.jit(lambda policy: rule.step(KEY, policy, problem, rule.init(policy)))(policy)


def climb(size, rate=0.02, epochs=20):
    return MinibatchAscent(Optimiser(rate), epochs=epochs, minibatch_size=size)


def rules(size):
    """Every rule, for a problem of so many rows."""
    return {
        "ascent": Ascent(Optimiser(0.01)),
        "restricted": Restricted(1e-4),
        "natural, radius": Natural(RADIUS, direction=DENSE),
        "natural, rate": Natural(learning_rate=0.02, direction=DENSE),
        "natural, conjugate gradient": Natural(RADIUS, direction=NaturalDirection(1e-2, iterations=20)),
        "natural, empirical": Natural(RADIUS, direction=NaturalDirection(1e-2, "dense", fisher="empirical")),
        "trust region": TrustRegion(RADIUS, DENSE),
        "trust region, reverse": TrustRegion(RADIUS, DENSE, reverse_kl=True),
        "minibatch ascent": climb(size),
        "repeated ascent": RepeatedAscent(Optimiser(0.02), 5),
        "KL penalty, fixed": KLPenalty(climb(size), 5.0),
        "KL penalty, adaptive": KLPenalty(climb(size), 5.0, target=RADIUS),
        "Lagrangian": Lagrangian(climb(size), RADIUS, 5.0, rounds=3),
        "greedy": Greedy(climb(size)),
    }


EXACT_RADIUS = {"trust region", "trust region, reverse"}
SECOND_ORDER = {"natural, radius", "natural, conjugate gradient"}


def tabular_exact():
    mdp = random_mdp(3, 5, 3, discount=0.9)
    policy = TabularPolicy(jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32))
    return policy, mdp.problem(policy)


def linear_exact():
    problem = LinearQuadratic(0.9, horizon=6)
    policy = LinearGaussian(jnp.float32(-0.1), jnp.float32(-0.2))
    return policy, problem.problem(policy)


def _sampled(policy, obs):
    @jax.jit
    def batch():
        action, log_prob = policy(obs).sample_and_log_prob(jax.random.key(5))
        advantage = jax.random.normal(jax.random.key(6), log_prob.shape)
        advantage = advantage - jnp.mean(advantage)
        return Batch(obs, action, log_prob, advantage, jnp.ones(len(log_prob))), policy(obs)

    return policy, SampledProblem(Ratio(), *batch())


def tabular_sampled():
    policy, _ = tabular_exact()
    return _sampled(policy, jax.random.randint(KEY, (256,), 0, 5))


def network_sampled():
    spec = Spec(Box(-1.0, 1.0, (3,)), Box(-2.0, 2.0, (2,)), 1, 1)
    policy = eqx.filter_jit(network_policy)(KEY, spec, hidden=(8,), output_scale=0.5)
    return _sampled(policy, jax.random.normal(KEY, (256, 3)))


PROBLEMS = {
    "tabular exact": tabular_exact,
    "linear-quadratic exact": linear_exact,
    "tabular sampled": tabular_sampled,
    "network sampled": network_sampled,
}
NAMES = list(rules(1))


VARIANTS = {"natural, rate", "natural, empirical", "trust region, reverse", "repeated ascent"}
"""Of rules that meet all problems; these meet one exact and one sampled problem."""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name in NAMES
        for kind in PROBLEMS
        if name not in VARIANTS or kind in ("tabular exact", "network sampled")
    ],
)
def test_the_surrogate_improves_and_the_radius_is_kept(name, kind):
    policy, problem = PROBLEMS[kind]()
    rule = rules(problem.size)[name]
    state = jax.jit(rule.init)(policy)
    traces = 0

    @jax.jit
    def step(policy, state):
        nonlocal traces
        traces += 1
        return rule.step(KEY, policy, problem, state)

    @jax.jit
    def measured(moved):
        gain = problem.evaluate(moved)[0] - problem.evaluate(policy)[0]
        return gain, problem.kl(moved, reverse=name == "trust region, reverse")

    moved, state, info = step(policy, state)
    gain, kl = map(float, measured(moved))
    assert gain > 1e-5
    if name in EXACT_RADIUS:
        assert 0.2 * RADIUS < kl <= RADIUS
    if name in SECOND_ORDER:
        assert 0.4 * RADIUS < kl < 1.5 * RADIUS
        assert float(info["predicted_kl"]) <= RADIUS * 1.001
    if name == "restricted":
        np.testing.assert_allclose(
            jnp.sum(jnp.square(ravel_pytree(moved)[0] - ravel_pytree(policy)[0])), 2e-4, rtol=1e-3
        )
    if "measured_kl" in info:
        np.testing.assert_allclose(info["measured_kl"], kl, rtol=1e-3, atol=1e-7)
        np.testing.assert_allclose(info["measured_gain"], gain, rtol=1e-2, atol=1e-6)
    assert {"objective", "gradient_norm"} <= set(info)
    assert all(bool(jnp.all(jnp.isfinite(value))) for value in info.values())
    again, _, _ = step(moved, state)
    assert traces == 1
    same = jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), again, policy)
    assert jax.tree.all(same)


UNSHUFFLED = [
    name for name, rule in rules(1).items() if not isinstance(rule, MinibatchAscent | KLPenalty | Lagrangian | Greedy)
]


@pytest.mark.parametrize("name", UNSHUFFLED)
def test_single_and_double_precision_agree(name):
    """On an exact problem, to 2 % of the step and 1e-4 absolutely. Shuffles draw other orders in double precision."""
    mdp = random_mdp(3, 5, 3, discount=0.9)
    logits = np.random.default_rng(0).normal(size=(5, 3))

    def moved():
        policy = TabularPolicy(jnp.asarray(logits, jnp.result_type(float)))
        problem = mdp.problem(policy)
        rule = rules(problem.size)[name]
        change, _, _ = stepped(rule, policy, problem)
        return np.asarray(change.logits, np.float64) - logits

    single = moved()
    with jax.enable_x64(True):
        double = moved()
    np.testing.assert_allclose(single, double, rtol=0.02, atol=1e-4)


@pytest.mark.parametrize("of_radius", [Natural, TrustRegion], ids=["natural", "trust region"])
def test_a_radius_on_a_schedule_is_what_it_has_come_to(of_radius):
    """Halfway from 2e-3 to 0 the step is that of 1e-3; and none is taken without a clock."""
    policy, problem = tabular_exact()
    falling, fixed = (of_radius(radius, direction=DENSE) for radius in (Linear(2e-3, 0.0), 1e-3))
    moved, _, _ = stepped(at_progress(falling, jnp.asarray(0.5)), policy, problem)
    expected, _, _ = stepped(fixed, policy, problem)
    np.testing.assert_allclose(moved.logits, expected.logits, rtol=1e-5)
    with pytest.raises(InputError, match="kl radius is a schedule"):
        stepped(falling, policy, problem)


def test_predictions_become_measurements_as_the_radius_shrinks():
    """T5, T9: KL = ½ΔᵀFΔ and gain = gᵀΔ, to first order in the step."""
    policy, problem = tabular_exact()
    with jax.enable_x64(True):
        policy = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), policy)
        problem = random_mdp(3, 5, 3, discount=0.9).problem(policy)
        errors = []
        for radius in (1e-4, 1e-6, 1e-8):
            rule = Natural(radius, direction=NaturalDirection(0.0, "dense"))
            _, _, info = stepped(rule, policy, problem)
            np.testing.assert_allclose(info["predicted_kl"], radius, rtol=1e-6)
            errors.append(
                max(
                    abs(float(info["measured_kl"] / info["predicted_kl"]) - 1),
                    abs(float(info["measured_gain"] / info["predicted_gain"]) - 1),
                )
            )
    assert errors[1] < 0.2 * errors[0]
    assert errors[2] < 0.2 * errors[1]


def test_the_step_length_as_it_is_often_printed_breaks_the_constraint():
    """E1: with gᵀFg under the root, ½ΔᵀFΔ is not ε."""
    policy, problem = tabular_exact()

    @jax.jit
    def lengths():
        gradient, unravel = ravel_pytree(problem.gradient(policy)[0])
        found = NaturalDirection(1e-3, "dense")(problem, policy, gradient)
        f_g = ravel_pytree(problem.fisher(policy).mv(unravel(gradient)))[0]
        return found, jnp.sqrt(2 * RADIUS / jnp.dot(gradient, f_g))

    found, printed = lengths()
    np.testing.assert_allclose(0.5 * found.length(RADIUS) ** 2 * found.damped_curvature, RADIUS, rtol=1e-4)
    assert not np.allclose(0.5 * printed**2 * found.damped_curvature, RADIUS, rtol=0.5)


def _rescaled(scale):
    """The same policy written in other parameters, θ = Mφ."""

    class Rescaled(eqx.Module):
        inner: jax.Array

        def __call__(self, obs):
            return TabularPolicy(self.inner * scale)(obs)

    return Rescaled


@pytest.mark.parametrize(("name", "invariant"), [("natural, radius", True), ("trust region", True), ("ascent", False)])
def test_only_the_natural_gradient_ignores_how_the_policy_is_written(name, invariant):
    policy, problem = tabular_exact()
    scale = jnp.asarray(np.random.default_rng(1).uniform(0.3, 3, (5, 3)), jnp.float32)
    other = _rescaled(scale)(policy.logits / scale)
    rule = {
        "natural, radius": Natural(RADIUS, direction=NaturalDirection(0.0, "dense")),
        "trust region": TrustRegion(RADIUS, NaturalDirection(0.0, "dense")),
        "ascent": Ascent(Optimiser(0.1, direction=_plain)),
    }[name]
    here, there = stepped(rule, policy, problem)[0].logits, stepped(rule, other, problem)[0].inner * scale
    probs, others = jax.nn.softmax(here), jax.nn.softmax(there)
    assert np.allclose(probs, others, atol=2e-3) == invariant


def _plain():
    import optax

    return optax.identity()


def test_a_trust_region_on_an_exact_problem_improves_the_performance_every_time():
    mdp = random_mdp(8, 6, 3, discount=0.9)
    policy = TabularPolicy(jnp.zeros((6, 3)))
    rule = TrustRegion(1e-3, NaturalDirection(1e-4, "dense"), backtracks=60)
    step = jax.jit(lambda policy: rule.step(KEY, policy, mdp.problem(policy), None))
    performance = [float(mdp.performance(mdp.probabilities(policy)))]
    for _ in range(50):
        policy, _, info = step(policy)
        assert int(info["verdict"]) == ACCEPTED
        performance.append(float(mdp.performance(mdp.probabilities(policy))))
    assert np.all(np.diff(performance) > 0)
    assert performance[-1] - performance[0] > 0.2 * (mdp.initial @ mdp.optimal()[0] - performance[0])


def test_greedy_improvement_on_an_exact_problem_is_policy_iteration():
    """S8: every state takes its best action, and after a few rounds no policy is better."""
    mdp = random_mdp(8, 6, 3, discount=0.9)
    policy = TabularPolicy(jnp.zeros((6, 3)))
    rule = Greedy(RepeatedAscent(Optimiser(0.5), 100))
    improved = jax.jit(lambda policy: rule.step(KEY, policy, mdp.problem(policy), rule.init(policy)))
    for round_ in range(5):
        probs = mdp.probabilities(policy)
        best = mdp.advantages(probs).argmax(axis=1)
        policy, _, info = improved(policy)
        if round_ == 0:
            np.testing.assert_array_equal(np.argmax(policy.logits, axis=1), best)
            assert float(info["measured_kl"]) > 10 * RADIUS
        policy = TabularPolicy(jnp.clip(policy.logits, -6, 6))  # so that a later round can still change its mind
    optimal = mdp.initial @ mdp.optimal()[0]
    assert mdp.performance(mdp.probabilities(policy)) > optimal - 0.02 * abs(optimal)


class Refuses(SampledProblem):
    """A problem on which no step will do."""

    why: str = eqx.field(static=True, default="")

    def evaluate(self, parameters):
        gain, info = super().evaluate(parameters)
        away = jnp.sum(jnp.square(parameters.logits - self.old.logits[:: self.old.logits.shape[0] // 5][:5]))
        worse = {"gain": -1e3 * away, "nan": jnp.where(away > 0, jnp.nan, 0.0), "far": 0.0}[self.why]
        return gain + jax.lax.stop_gradient(worse), info

    def kl(self, policy, *, reverse=False):
        kl = super().kl(policy, reverse=reverse)
        return 1e6 * kl if self.why == "far" else kl


@pytest.mark.parametrize(("why", "verdict"), [("gain", NO_GAIN), ("far", TOO_FAR), ("nan", NOT_FINITE)])
def test_after_a_failure_the_identical_parameters_come_back(why, verdict):
    mdp = random_mdp(3, 5, 3, discount=0.9)
    policy = TabularPolicy(jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32))
    exact = mdp.problem(policy)
    problem = Refuses(exact.objective, exact.batch, exact.old, why)
    moved, _, info = stepped(TrustRegion(RADIUS, DENSE, backtracks=4), policy, problem)
    np.testing.assert_array_equal(np.asarray(moved.logits).view(np.uint32), np.asarray(policy.logits).view(np.uint32))
    assert int(info["verdict"]) == verdict
    assert int(info["backtracks"]) == 4
    assert float(info["measured_kl"]) == float(info["measured_gain"]) == 0


def test_backtracking_takes_the_first_step_that_will_do():
    """A radius so large that the KL is no longer quadratic, as where σ shrinks: shorter steps are tried in turn."""
    policy, problem = linear_exact()
    _, _, info = stepped(TrustRegion(0.5, NaturalDirection(1e-4, "dense"), shrink=0.7), policy, problem)
    tried = int(info["backtracks"])
    assert int(info["verdict"]) == ACCEPTED
    assert tried >= 1
    one_less = TrustRegion(0.5, NaturalDirection(1e-4, "dense"), shrink=0.7, backtracks=tried - 1)
    assert int(stepped(one_less, policy, problem)[2]["verdict"]) != ACCEPTED


def test_the_price_follows_the_kl():
    """S6: doubled above 1.5 × the target, halved below it by as much, else left alone."""
    rule = KLPenalty(climb(1), 4.0, target=0.01)
    price = jnp.asarray(4.0)
    for kl, wanted in ((0.016, 8.0), (0.006, 2.0), (0.01, 4.0), (0.0149, 4.0), (0.0067, 4.0)):
        assert float(rule.repriced(price, jnp.asarray(kl))) == wanted
    assert float(KLPenalty(climb(1), 4.0).repriced(price, jnp.asarray(9.0))) == 4.0


def test_the_multiplier_is_never_negative_and_follows_the_violation():
    """S5: λ ← max(0, λ + α (KL − ε))."""
    rule = Lagrangian(climb(1), 0.01, price_rate=100.0)
    np.testing.assert_allclose(rule.repriced(jnp.asarray(2.0), jnp.asarray(0.03)), 4.0, rtol=1e-5)
    np.testing.assert_allclose(rule.repriced(jnp.asarray(2.0), jnp.asarray(0.0)), 1.0, rtol=1e-5)
    assert float(rule.repriced(jnp.asarray(0.5), jnp.asarray(0.0))) == 0


@pytest.mark.parametrize("name", ["Lagrangian", "KL penalty, adaptive"])
def test_repeated_on_one_problem_the_kl_settles_at_the_radius(name):
    """The price that makes the radius the best place to be is found, and carried in the state."""
    policy, problem = tabular_exact()
    inner = climb(problem.size, 0.01, 100)
    rule = Lagrangian(inner, RADIUS, 1.0, 20.0) if name == "Lagrangian" else KLPenalty(inner, 1.0, RADIUS)
    state, step = rule.init(policy), jax.jit(lambda state: rule.step(KEY, policy, problem, state))
    kls = []
    for _ in range(60):
        _, state, info = step(state)
        kls.append(float(info["measured_kl"]))
    low, high = (0.9, 1.1) if name == "Lagrangian" else (1 / 2, 2)
    assert low * RADIUS < np.mean(kls[-10:]) < high * RADIUS, kls


def test_a_clipped_objective_stays_near_where_plain_ascent_runs_away():
    policy, problem = tabular_sampled()
    clipped = SampledProblem(Clipped(0.1), problem.batch, problem.old)
    rule = climb(problem.size, 0.05, 60)
    near, far = (stepped(rule, policy, each)[0] for each in (clipped, problem))
    assert float(problem.kl(near)) < 0.3 * float(problem.kl(far))


def test_discrete_and_continuous_rows_make_the_same_kind_of_problem():
    spec = Spec(Box(-1.0, 1.0, (2,)), Discrete(3), 1, 1)
    policy, problem = _sampled(
        network_policy(KEY, spec, hidden=(8,), output_scale=0.5), jax.random.normal(KEY, (64, 2))
    )
    moved, _, info = stepped(TrustRegion(RADIUS, NaturalDirection(0.01)), policy, problem)
    assert int(info["verdict"]) == ACCEPTED
    assert float(problem.kl(moved)) <= RADIUS


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Restricted(0.0), "radius is 0.0"),
        (lambda: Natural(), "exactly one of them"),
        (lambda: Natural(0.01, 0.1), "exactly one of them"),
        (lambda: TrustRegion(-1.0), "kl radius is -1.0"),
        (lambda: TrustRegion(0.01, shrink=1.0), "shrink is 1.0"),
        (lambda: KLPenalty(climb(1), -1.0), "KL price is -1.0"),
        (lambda: Lagrangian(climb(1), 0.01, rounds=0), "rounds is 0"),
    ],
)
def test_wrong_numbers_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
