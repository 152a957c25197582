"""Gymnasium's environments: from a registered id, or a function that makes one."""

import contextlib
import copy
import functools
import importlib
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import gymnasium
from gymnasium.envs.registration import load_env_creator

from steepest.core.errors import EnvironmentFault, InputError, unknown
from steepest.core.importing import import_named
from steepest.envs import COMPILED
from steepest.envs.adapters.faults import one_line, place_of
from steepest.envs.adapters.gymnasium_spaces import Bounds
from steepest.envs.adapters.masks import MaskSource
from steepest.envs.adapters.rendering import RENDER_MODE, check_render_mode, lacks_graphics, nothing_draws
from steepest.envs.adapters.separate import SeparateEnvironments

Factory = Callable[[], gymnasium.Env]
_PACKAGES = {"ALE": "ale_py"}
"""Which package registers the environments of a namespace, where it does not have the namespace's name."""


def known_ids() -> list[str]:
    """The ids that Gymnasium has registered."""
    return sorted(gymnasium.registry)


def known_everywhere(source: str) -> bool:
    """Whether every process finds what `source` names: Gymnasium's own, or what a module registers that it names."""
    module, colon, _ = source.rpartition(":")
    if colon:
        return module != "__main__"
    return str(gymnasium.spec(source).entry_point).startswith("gymnasium.")


def portable(source: str) -> Factory:
    """What an id names, as a function that can be sent to a process which does not know it."""
    spec: Any = copy.copy(gymnasium.spec(source))
    if isinstance(spec.entry_point, str):
        spec.entry_point = load_env_creator(spec.entry_point)
    return functools.partial(gymnasium.make, spec, disable_env_checker=True)


def make(
    source: str | Factory,
    *,
    num_envs: int,
    seed: int,
    action_bounds: Bounds = (None, None),
    max_episode_steps: int | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    render: bool = False,
    masks: MaskSource | None = None,
) -> SeparateEnvironments:
    """N environments from a registered id, or from a function that makes one.

    **Arguments**

    - `max_episode_steps`: a time limit, in place of the one that is registered; a function's own stays too.
    - `env_kwargs`: of the constructor, where `source` is an id.
    - `render`: make such as have pictures: with render_mode "rgb_array".
    - `masks`: where their action masks are found, as `SeparateEnvironments.find_masks` says; None for none.

    **Raises** `InputError` for an id that is not registered or cannot be made, with what to do; `EnvironmentFault`
    for a function that raises.
    """
    factory: Factory
    if isinstance(source, str):
        _check_registered(source)
        # What the passive checker warns of is checked here too, or does not matter here.
        arguments = {"max_episode_steps": max_episode_steps, "disable_env_checker": True, **(env_kwargs or {})}
        if render:
            arguments["render_mode"] = RENDER_MODE
        name, factory = source, functools.partial(gymnasium.make, source, **arguments)
    else:
        name, factory = getattr(source, "__name__", type(source).__name__), source
        if render and _takes_render_mode(source):
            factory = functools.partial(cast("Any", source), render_mode=RENDER_MODE)
        if max_episode_steps is not None:
            factory = functools.partial(_limited, factory, max_episode_steps)
    environments: list[gymnasium.Env] = []
    try:
        with without_noise(name):
            while len(environments) < num_envs:
                environments.append(_made(name, factory))
        if len({id(each.unwrapped) for each in environments}) < num_envs:
            raise InputError(
                f"environment {name}: the function returned the same environment twice. Make a new one at every call."
            )
        if render:
            check_render_mode(name, environments[0], given=not isinstance(source, str))
        return SeparateEnvironments(environments, name=name, seed=seed, action_bounds=action_bounds, masks=masks)
    except Exception:
        for env in environments:
            with contextlib.suppress(Exception):  # what went wrong first is told
                env.close()
        raise


def _takes_render_mode(source: Factory) -> bool:
    try:
        parameters = inspect.signature(source).parameters.values()
    except (TypeError, ValueError):  # not every callable tells
        return False
    return any(each.name == "render_mode" or each.kind is each.VAR_KEYWORD for each in parameters)


def _limited(source: Factory, max_episode_steps: int) -> gymnasium.Env:
    made = source()
    return gymnasium.wrappers.TimeLimit(made, max_episode_steps) if isinstance(made, gymnasium.Env) else made


def _made(name: str, factory: Factory) -> gymnasium.Env:
    try:
        made = factory()
        if not isinstance(made, gymnasium.Env):
            raise TypeError(f"it returned a {type(made).__name__}, which is no gymnasium.Env")
        return made
    except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
        missing = isinstance(error, gymnasium.error.DependencyNotInstalled) and "mujoco" in str(error).lower()
        remedy = (
            "Run: pip install 'steepest[mujoco]'." if missing else "Install what it needs, or take another version."
        )
        raise InputError(f"environment {name} cannot be made: {one_line(error)}. {remedy}") from error
    except Exception as error:
        if lacks_graphics(error):
            raise InputError(nothing_draws(name, one_line(error))) from error
        said = ", ".join(filter(None, (f"{type(error).__name__}: {one_line(error)}", place_of(error))))
        raise EnvironmentFault(
            f"environment {name} could not be made: {said}. Correct the function that makes it, or what it is given."
        ) from error


def _check_registered(source: str) -> None:
    module, colon, name = source.rpartition(":")
    try:
        if colon:
            import_named(module)
        with without_noise():
            gymnasium.spec(name)
    except ImportError as error:
        raise InputError(
            f"environment {source}: {module} cannot be imported: {one_line(error)}. Install it, or correct its name."
        ) from error
    except gymnasium.error.Error as error:
        package = _PACKAGES.get(name.split("/")[0]) if "/" in name else None
        if package is not None and not colon:
            raise InputError(
                f"unknown environment {source!r}; {package} has it. Give {package}:{source}, once that is installed: "
                f"pip install {package.replace('_', '-')}."
            ) from error
        if source in COMPILED:
            raise InputError(
                f"backend is 'gymnasium', and {source} is ours alone. Take 'compiled', or 'auto'."
            ) from error
        refused = unknown("environment", source, {*known_ids(), *COMPILED}, "steepest list envs")
        if not colon:
            refused = InputError(f"{refused} If a module registers it, name that too: MODULE:{source}.")
        raise refused from error


@contextlib.contextmanager
def without_noise(name: str = "") -> Iterator[None]:
    """A context that suppresses warnings of libraries that users cannot act on, while an environment is made.

    - Gymnasium: that it casts the bounds of a `Box`; that there is a newer version of an environment that someone
      chose on purpose, to compare with published results.
    - MuJoCo 4: that Gymnasium's models set their total mass in an old way. It says so for each environment, on
      standard error and in a file MUJOCO_LOG.TXT.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*precision lowered by casting", UserWarning)
        warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning)
        with _without_mass_warning(name):
            yield


@contextlib.contextmanager
def _without_mass_warning(name: str) -> Iterator[None]:
    spec = gymnasium.registry.get(name)
    if spec is not None and str(spec.entry_point).startswith("gymnasium.envs.mujoco"):
        with contextlib.suppress(Exception):  # of which making the environment will say more
            importlib.import_module("mujoco")
    mujoco = sys.modules.get("mujoco")
    if mujoco is None or not hasattr(mujoco, "get_mju_user_warning"):
        yield
        return
    others: list[str] = []
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: "settotalmass" in message or others.append(message))
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)
        for message in others:
            warnings.warn(f"MuJoCo: {message}", stacklevel=2)
