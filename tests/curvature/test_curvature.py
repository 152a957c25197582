"""Directions of the natural gradient against dense linear algebra in float64."""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from steepest.core.errors import InputError
from steepest.core.problem import SampledProblem
from steepest.core.spaces import Box, Discrete, Spec
from steepest.core.trajectory import Batch
from steepest.curvature import NaturalDirection, conjugate_gradient
from steepest.objectives import Ratio
from steepest.policies import SharedNetwork, network_policy

ROWS = 48


def matrix(size=8, condition=50.0):
    generator = np.random.default_rng(0)
    basis, _ = np.linalg.qr(generator.normal(size=(size, size)))
    return basis @ np.diag(np.geomspace(1, condition, size)) @ basis.T, generator.normal(size=size)


def solved(f, g, **options):
    return jax.jit(lambda g: conjugate_gradient(lambda v: f @ v, g, **options))(jnp.asarray(g, jnp.float32))


@pytest.mark.parametrize("iterations", [2, 5, 8])
def test_conjugate_gradients_are_those_of_the_books(iterations):
    """The k-th iterate minimises ½xᵀFx − gᵀx over the Krylov space."""
    f, g = matrix()
    krylov = np.stack([np.linalg.matrix_power(f, power) @ g for power in range(iterations)], axis=1)
    basis, _ = np.linalg.qr(krylov)
    best = basis @ np.linalg.solve(basis.T @ f @ basis, basis.T @ g)
    f32 = jnp.asarray(f, jnp.float32)
    found = solved(f32, g, iterations=iterations, tolerance=0.0)
    np.testing.assert_allclose(found.x, best, rtol=5e-3, atol=5e-4)
    assert int(found.iterations) == iterations
    np.testing.assert_allclose(found.residual, np.linalg.norm(g - f @ best) / np.linalg.norm(g), rtol=0.05, atol=1e-2)


def test_it_agrees_with_lineax():
    f, g = matrix(condition=10.0)
    operator = lx.MatrixLinearOperator(jnp.asarray(f, jnp.float32), lx.positive_semidefinite_tag)
    other = lx.linear_solve(operator, jnp.asarray(g, jnp.float32), lx.CG(rtol=1e-6, atol=1e-6)).value
    found = conjugate_gradient(operator.mv, jnp.asarray(g, jnp.float32), iterations=20, tolerance=1e-6)
    np.testing.assert_allclose(found.x, other, rtol=1e-3, atol=1e-4)


def test_it_stops_when_it_is_there_and_estimates_the_condition():
    f, g = matrix(condition=30.0)
    f32 = jnp.asarray(f, jnp.float32)
    found = solved(f32, g, iterations=50, tolerance=1e-3)
    assert int(found.iterations) < 15
    assert float(found.residual) <= 1e-3
    np.testing.assert_allclose(found.condition, 30, rtol=0.05)


def test_a_gradient_of_zero_goes_nowhere():
    found = conjugate_gradient(lambda v: 2 * v, jnp.zeros(3), iterations=5)
    assert jax.tree.all(jax.tree.map(lambda leaf: bool(jnp.all(jnp.isfinite(leaf))), found))
    np.testing.assert_array_equal(found.x, 0)


@eqx.filter_jit
def problem_of(kind):
    action = {"categorical": Discrete(3)}.get(kind, Box(-2.0, 2.0, (2,)))
    spec = Spec(Box(-1.0, 1.0, (2,)), action, 1, 1)
    keys = jax.random.split(jax.random.key(0), 4)
    if kind == "shared trunk":
        policy = SharedNetwork.initial(keys[0], spec, hidden=(4,), output_scale=1.0)
    else:
        gaussian = kind if kind == "state_dependent" else "gaussian"
        policy = network_policy(keys[0], spec, hidden=(4,), gaussian=gaussian, output_scale=1.0)
    obs = jax.random.normal(keys[1], (ROWS, 2))
    action, log_prob = policy(obs).sample_and_log_prob(keys[2])
    weight = jnp.ones(ROWS).at[5].set(0.0)
    batch = Batch(obs, action, log_prob, jax.random.normal(keys[3], (ROWS,)), weight)
    return policy, SampledProblem(Ratio(), batch, policy(obs))


def dense_fisher(policy, problem):
    """The Hessian of the KL, [P, P]."""
    vector, unravel = ravel_pytree(policy)
    return np.asarray(jax.jit(jax.hessian(lambda each: problem.kl(unravel(each))))(vector), np.float64)


@eqx.filter_jit
def directed(direction, problem, policy):
    """The gradient, and the direction that is taken along it."""
    gradient = ravel_pytree(problem.gradient(policy)[0])[0]
    return gradient, direction(problem, policy, gradient)


KINDS = ["categorical", "gaussian", "state_dependent", "shared trunk"]


@pytest.mark.parametrize("solver", ["conjugate_gradient", "dense"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_direction_solves_the_damped_system(kind, solver):
    policy, problem = problem_of(kind)
    gradient = ravel_pytree(eqx.filter_jit(problem.gradient)(policy)[0])[0]
    damped = dense_fisher(policy, problem) + 0.1 * np.eye(len(gradient))
    exact = np.linalg.solve(damped, np.asarray(gradient, np.float64))
    direction = NaturalDirection(0.1, solver, iterations=60, tolerance=1e-6)
    found = jax.jit(lambda gradient: direction(problem, policy, gradient))(gradient)
    np.testing.assert_allclose(found.x, exact, rtol=2e-2, atol=1e-2 * np.abs(exact).max())
    np.testing.assert_allclose(found.slope, gradient @ exact, rtol=1e-3)
    np.testing.assert_allclose(found.damped_curvature, exact @ damped @ exact, rtol=1e-2)
    np.testing.assert_allclose(found.curvature, exact @ (damped - 0.1 * np.eye(len(exact))) @ exact, rtol=1e-2)
    values = np.linalg.eigvalsh(damped)
    assert float(found.info["fisher_condition"]) <= 1.05 * values[-1] / values[0]
    assert float(found.info["fisher_condition"]) > 0.5 * values[-1] / values[0]


def test_without_damping_the_dense_solver_leaves_flat_directions_alone():
    """The softmax has a flat direction in every row of logits, and the shared value's column is flat as a whole."""
    policy, problem = problem_of("shared trunk")
    gradient, found = directed(NaturalDirection(0.0, "dense"), problem, policy)
    exact = np.linalg.pinv(dense_fisher(policy, problem), rcond=1e-4, hermitian=True) @ np.asarray(gradient, np.float64)
    assert bool(jnp.all(jnp.isfinite(found.x)))
    np.testing.assert_allclose(found.slope, gradient @ exact, rtol=0.05)


def test_the_empirical_fisher_is_the_mean_outer_product_of_the_scores():
    policy, problem = problem_of("gaussian")
    vector, unravel = ravel_pytree(policy)
    scores = np.asarray(
        jax.jit(jax.jacrev(lambda each: unravel(each)(problem.batch.obs).log_prob(problem.batch.action)))(vector),
        np.float64,
    )
    weight = np.asarray(problem.batch.weight, np.float64)
    wanted = np.einsum("b,bi,bj->ij", weight / weight.sum(), scores, scores)

    @jax.jit
    def products(directions):
        operator = problem.empirical_fisher(policy)
        return jax.vmap(lambda v: ravel_pytree(operator.mv(unravel(v)))[0])(directions)

    found = products(jnp.eye(len(vector)))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


def test_a_part_of_the_rows_gives_the_direction_of_that_part():
    policy, problem = problem_of("categorical")
    gradient, found = directed(NaturalDirection(0.1, "dense", rows=16), problem, policy)
    other = jax.jit(lambda part: NaturalDirection(0.1, "dense")(part, policy, gradient))(problem.thinned(16))
    np.testing.assert_allclose(found.x, other.x, rtol=1e-4, atol=1e-5)
    _, whole = directed(NaturalDirection(0.1, "dense"), problem, policy)
    assert not np.allclose(found.x, whole.x, rtol=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damping": -1.0}, "damping is -1.0"),
        ({"iterations": 0}, "conjugate-gradient iterations is 0"),
        ({"rows": 0}, "fisher_rows is 0"),
    ],
)
def test_wrong_numbers_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        NaturalDirection(**options)
