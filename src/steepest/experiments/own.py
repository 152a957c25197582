"""Algorithms of the user's own: built ones, or functions that build one for a task."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from typing import ClassVar, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from steepest.algorithms import BehaviourCloning, HyperParameters
from steepest.core.errors import InputError
from steepest.core.interfaces import AbstractAlgorithm
from steepest.core.spaces import Space, Spec
from steepest.core.types import PyTree
from steepest.core.validation import whole_number
from steepest.envs.tasks import Task
from steepest.experiments.configuration import OWN, RunConfiguration


@runtime_checkable
class MakeAlgorithm(Protocol):
    """A function that builds an algorithm for a task."""

    def __call__(self, spec: Spec) -> AbstractAlgorithm:
        """The algorithm."""
        ...


@dataclasses.dataclass(frozen=True)
class OwnAlgorithm(HyperParameters):
    """An algorithm of the user's own, as something that is built for a task.

    - `make`: builds it.
    - `num_envs`: environments that are sampled side by side.
    - `length`: steps of each in an update; None for whole episodes.
    """

    name: ClassVar[str] = OWN
    title: ClassVar[str] = "An algorithm of the user's own"

    make: MakeAlgorithm
    num_envs: int
    length: int | None

    @classmethod
    def of(cls, given: AbstractAlgorithm | MakeAlgorithm, task: Task, num_envs: int | None) -> OwnAlgorithm:
        """What was given to `steepest.train` or `steepest.resume`.

        **Raises** `InputError` where it is no algorithm, or was built for other spaces than the task's.
        """
        if isinstance(given, AbstractAlgorithm):
            if num_envs is not None:
                raise InputError(
                    f"num_envs is {num_envs}, but the algorithm was built for {given.spec.num_envs}. Leave it out."
                )
            _check_spaces(given.spec, task)
            return _kind(given)(
                lambda spec: dataclasses.replace(given, spec=spec),  # pyright: ignore[reportArgumentType]
                given.spec.num_envs,
                given.rollout.length,
            )
        if isinstance(given, type):
            raise InputError(f"algorithm is the class {given.__name__}; give an object of it, {given.__name__}(…).")
        streams = whole_number("num_envs", 8 if num_envs is None else num_envs, at_least=1, remedy="8 is usual.")
        probe = given(Spec(task.observation_space, task.action_space, streams, 1, task.max_episode_steps))
        if not isinstance(probe, AbstractAlgorithm):
            raise InputError(
                f"algorithm is a function that returns a {type(probe).__name__}; it must return an algorithm. "
                "PPO().build(spec) is one."
            )
        return _kind(probe)(given, streams, probe.rollout.length)

    def build(self, spec: Spec) -> AbstractAlgorithm:
        built = self.make(spec)
        if built.spec != spec:
            raise InputError(
                "algorithm is a function that returns an algorithm for another Spec than the one it is called with. "
                "Build it for that one."
            )
        return built

    @property
    def recorded(self) -> dict[str, float]:
        """What a configuration keeps of it, beside its description."""
        return {"num_envs": self.num_envs}

    def num_streams(self, observation: Space, action: Space) -> int:
        return self.num_envs

    @property
    def steps_per_update(self) -> int | None:
        """One segment of every environment; None for whole episodes."""
        return None if self.length is None else self.length * self.num_envs


class OwnImitation(OwnAlgorithm):
    """An algorithm of the user's own that learns from demonstrations."""

    demonstrated: ClassVar[bool] = True

    @property
    def recorded(self) -> dict[str, float]:
        """The same, and the share of demonstrations that is held out: that of behaviour cloning."""
        return super().recorded | {"held_out": BehaviourCloning.held_out}


def _kind(algorithm: AbstractAlgorithm) -> type[OwnAlgorithm]:
    return OwnImitation if algorithm.rollout.demonstrated else OwnAlgorithm


def describe(algorithm: AbstractAlgorithm) -> str:
    """The parts of an algorithm and their numbers in words, the same in every process.

    Of long arrays the words leave something out, so a digest of all arrays comes last. Of functions they hold the name.
    """
    words = re.sub(r" at 0x[0-9a-f]+", "", eqx.tree_pformat(algorithm, short_arrays=False))
    arrays = [leaf for leaf in jax.tree.leaves(algorithm) if eqx.is_array(leaf)]
    return f"{words}\narrays: sha256 {_digest(arrays)}" if arrays else words


def _digest(arrays: PyTree) -> str:
    found = hashlib.sha256()
    for leaf in arrays:
        key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        array = np.asarray(jax.random.key_data(leaf) if key else leaf)
        found.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()


def _check_spaces(spec: Spec, task: Task) -> None:
    for role, built, found in (
        ("observation", spec.observation, task.observation_space),
        ("action", spec.action, task.action_space),
    ):
        if built != found:
            raise InputError(
                f"algorithm: it was built for the {role} space {built}, and that of {task.id} is {found}. "
                "Build it for this environment."
            )


AlgorithmLike = str | HyperParameters | AbstractAlgorithm | MakeAlgorithm
"""What `steepest.train` takes: a name, hyper-parameters, a built algorithm, or a function that builds one."""


def own_parameters(config: RunConfiguration, given: AlgorithmLike | None, task: Task) -> HyperParameters:
    """The hyper-parameters of a run that exists, with the user's own algorithm where it was made with one.

    **Raises** `InputError` where that is not given, or one is given and none is due.
    """
    if config.algorithm != OWN:
        if given is not None:
            raise InputError(f"algorithm: the run was made with {config.algorithm}, which it remembers. Leave it out.")
        return config.parameters()
    if given is None or isinstance(given, str | HyperParameters):
        raise InputError(
            "the run was made with an algorithm of your own, which no file holds. Give it again, from Python: "
            "steepest.resume(run, algorithm=…) or steepest.evaluate(run, algorithm=…)."
        )
    streams = None if isinstance(given, AbstractAlgorithm) else config.hyper_parameters["num_envs"]
    return OwnAlgorithm.of(given, task, streams)
