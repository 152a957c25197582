"""Which environment, and who runs it."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from steepest.core.errors import InputError, unknown
from steepest.core.spaces import Box, Masked, Space, leaves, stacked
from steepest.core.validation import check_number
from steepest.envs import COMPILED, compiled

if TYPE_CHECKING:
    import gymnasium

    from steepest.envs.adapters.masks import MaskSource
    from steepest.envs.adapters.separate import SeparateEnvironments
    from steepest.envs.adapters.vector import AbstractVectorEnvironment
    from steepest.envs.environment import AbstractEnvironment

    EnvironmentLike = str | AbstractEnvironment | Callable[[], gymnasium.Env]
else:  # neither JAX nor Gymnasium is imported for a name
    EnvironmentLike = object
"""What `steepest.train` takes for an environment: an id, a compiled one, or a function that makes a Gymnasium one."""
BACKENDS = ("auto", "compiled", "envpool", "gymnasium")
Bounds = tuple[float | None, float | None]


Keywords = Mapping[str, Any]
"""Arguments of an environment, by name."""


@dataclasses.dataclass(frozen=True)
class Task:
    """An environment that was found, and how to get more of it.

    - `backend`: who runs it; `library`: whose it is, with its version.
    - `env`: the compiled environment; None on the other backends.
    - `make`: `(num_envs, seed)` to vector environments, with another time limit where `max_episode_steps` is given too,
      and, of Gymnasium's, such as have pictures with `render`; None on the compiled backend.
    - `source`: what it was found by, an id or one of the other things that `resolve` takes.
    - `importable`: whether that is an id by which another process finds it too.
    - `frame_stack`: how many frames its observations hold.
    """

    id: str
    backend: str
    library: str
    observation_space: Space
    action_space: Space
    max_episode_steps: int | None
    source: EnvironmentLike
    env: AbstractEnvironment | None = None
    make: Callable[..., AbstractVectorEnvironment] | None = None
    importable: bool = True
    frame_stack: int = 1

    @property
    def source_elsewhere(self) -> EnvironmentLike | None:
        """What another process has to be sent in order to find the environment; None where its id is enough."""
        if self.importable:
            return None
        if not isinstance(self.source, str):
            return self.source
        from steepest.envs.adapters import gymnasium

        return gymnasium.portable(self.source)

    def limited(self, max_episode_steps: int) -> Task:
        """The same environment with another time limit."""
        if self.env is not None:
            from steepest.envs.limited import Limited

            env = Limited(self.env, max_episode_steps)
            return dataclasses.replace(self, env=env, max_episode_steps=max_episode_steps)
        assert self.make is not None
        make = functools.partial(self.make, max_episode_steps=max_episode_steps)
        return dataclasses.replace(self, make=make, max_episode_steps=max_episode_steps)

    def stacked(self, frames: int) -> Task:
        """The same environment with observations that hold the last frames. **Raises** `InputError` without any."""
        if not any(isinstance(leaf, Box) for _, leaf in leaves(self.observation_space)):
            raise InputError(
                f"frame_stack is {frames}, but observations of {self.id} are {self.observation_space}, with no numbers "
                "or pictures to stack. Leave it out."
            )
        space = stacked(self.observation_space, frames)
        if self.env is not None:
            from steepest.envs.frame_stack import FrameStack

            env = FrameStack(self.env, frames)
            return dataclasses.replace(self, env=env, observation_space=space, frame_stack=frames)
        assert self.make is not None
        make = functools.partial(_stacked, self.make, frames)
        return dataclasses.replace(self, make=make, observation_space=space, frame_stack=frames)

    def groups(self, num_envs: int, seed: int, begun: int = 0) -> list[AbstractVectorEnvironment]:
        """The environments of one seed: two groups where they step in threads of their own, else one.

        **Arguments**

        - `begun`: updates that the seed has made; after each number of them other episodes come.
        """
        assert self.make is not None
        count = 2 if self.backend == "envpool" and num_envs % 2 == 0 else 1
        seeds = np.random.SeedSequence((seed, begun)).generate_state(count)
        return [self.make(num_envs // count, int(each)) for each in seeds]


def resolve(
    env: EnvironmentLike,
    backend: str = "auto",
    action_bounds: Bounds = (None, None),
    *,
    max_episode_steps: int | None = None,
    env_kwargs: Keywords | None = None,
    action_masks: bool | None = None,
    frame_stack: int = 1,
) -> Task:
    """Find an environment.

    **Arguments**

    - `env`: an id; a compiled environment; or a function that makes a Gymnasium environment.
    - `backend`: who is to run it. `auto` takes the compiled one, then EnvPool's, then Gymnasium's; with `env_kwargs`
      the compiled one if it has fields of these names, else Gymnasium's.
    - `action_bounds`: to use where a continuous action space has none.
    - `max_episode_steps`: a time limit in place of the environment's own. One of a function's own stays where it is
      shorter.
    - `env_kwargs`: what an environment that is found by its id is made with.
    - `action_masks`: whether actions that the environment rules out are never taken. None does so where whoever runs it
      gives masks; True also looks for somebody who does: EnvPool does not.
    - `frame_stack`: how many frames of the episode an observation holds.

    **Raises** `InputError` when there is no such environment, or not on this backend, or what it does not use.
    """
    check_number("max_episode_steps", max_episode_steps, at_least=1, at_most=2**31 - 1, whole=True, remedy="500, say.")
    given = _checked(env_kwargs or {})
    check_number("frame_stack", frame_stack, at_least=1, at_most=1000, whole=True, remedy="4 is usual for pictures.")
    task = _within(_find(env, backend, action_bounds, given, action_masks), action_bounds)
    if action_masks and not isinstance(task.observation_space, Masked):
        raise InputError(
            f"action_masks is True, but {task.id} of {task.library} says nowhere which actions are allowed: neither in "
            "info['action_mask'], nor in an observation {'observation', 'action_mask'}, nor in a method action_masks() "
            "or, where it is compiled, mask(state). Leave it out."
        )
    if max_episode_steps is not None:
        own = task.max_episode_steps
        task = task.limited(max_episode_steps if isinstance(env, str) or own is None else min(own, max_episode_steps))
    return task if frame_stack == 1 else task.stacked(frame_stack)


def _stacked(make: Callable[..., AbstractVectorEnvironment], frames: int, *given, **named) -> AbstractVectorEnvironment:
    from steepest.envs.adapters.stacked_frames import StackedFrames

    return StackedFrames(make(*given, **named), frames)


def _checked(given: Keywords) -> Keywords:
    """What an environment is made with. **Raises** `InputError` for what `config.json` cannot hold."""
    if not isinstance(given, Mapping):
        raise InputError(f"env_kwargs is {given!r}; it must be a dictionary, such as {{'is_slippery': False}}.")
    for name, value in given.items():
        if name == "max_episode_steps":
            raise InputError("env_kwargs: max_episode_steps is a setting of its own. Give it there.")
        try:
            kept = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            kept = None
        if not isinstance(name, str) or (kept is None and value is not None):
            raise InputError(
                f"env_kwargs: {name} is a {type(value).__name__}; it must be a number, a word, true or false, or a "
                "list of such, since the run keeps it. Give a function that makes the environment instead."
            )
    return given


def _find(
    env: EnvironmentLike,
    backend: str,
    action_bounds: Bounds,
    env_kwargs: Keywords,
    action_masks: bool | None,
) -> Task:
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    if not isinstance(env, str):
        if env_kwargs:
            raise InputError("env_kwargs are given, and so is the environment itself. Make it with them.")
        return _given(env, action_bounds, action_masks)
    if backend == "compiled" and env not in COMPILED:
        raise unknown("compiled environment", env, COMPILED)
    if backend == "compiled" or (backend == "auto" and env in COMPILED and _ours(env, env_kwargs)):
        return _compiled(env, env_kwargs, action_masks)
    if backend == "envpool" or (backend == "auto" and not env_kwargs and not action_masks and _envpool_has(env)):
        return _envpool(env, action_bounds, env_kwargs)
    return _gymnasium(env, action_bounds, env_kwargs, action_masks)


def _given(env: EnvironmentLike, action_bounds: Bounds, action_masks: bool | None) -> Task:
    from steepest.envs.environment import AbstractEnvironment

    if isinstance(env, AbstractEnvironment):
        return _describe_compiled(env, source=env, action_masks=action_masks)
    if callable(env):
        return _gymnasium(env, action_bounds, {}, action_masks)
    raise InputError(
        f"env is a {type(env).__name__}; it must be an id, a compiled environment, or a function that makes a "
        f"Gymnasium environment."
    )


def _within(task: Task, bounds: Bounds) -> Task:
    """The task. **Raises** `InputError` for bounds that change nothing, since somebody counts on them."""
    for name, bound in zip(("action_low", "action_high"), bounds, strict=True):
        if bound is None:
            continue
        if not math.isfinite(bound):
            raise InputError(f"{name} is {bound}; it must be finite. Leave it out for no bound.")
        boxes = [leaf for _, leaf in leaves(task.action_space) if isinstance(leaf, Box)]
        if not boxes:
            raise InputError(
                f"{name} is {bound:g}, but actions of {task.id} are {type(task.action_space).__name__}. Leave it out."
            )
        space = boxes[0]
        if not any(np.any((box.low if name == "action_low" else box.high) == np.float32(bound)) for box in boxes):
            raise InputError(
                f"{name} is {bound:g}, but actions of {task.id} have bounds, {space.low.min():g} to "
                f"{space.high.max():g}, or cannot be given any. Leave it out, or change the environment in a wrapper."
            )
    return task


def _ours(env: str, env_kwargs: Keywords) -> bool:
    """Whether the compiled environment of a name is meant: it knows what it is made with, or nobody else has one."""
    if set(env_kwargs) <= set(_constants(env)):
        return True
    from steepest.envs.adapters import gymnasium

    return env not in gymnasium.known_ids()


def _constants(env: str) -> dict[str, Any]:
    """The physical constants of a compiled environment, by name."""
    others = ("id", "max_episode_steps", "reset_pool", "render_fps")
    return {name: value for name, value in vars(compiled(env)).items() if name not in others}


def _compiled(env: str, env_kwargs: Keywords, action_masks: bool | None) -> Task:
    found, known = compiled(env), _constants(env)
    assert found is not None
    for name, value in env_kwargs.items():
        if name not in known:
            raise unknown(f"constant of the compiled {env} in env_kwargs", name, known)
        check_number(f"env_kwargs: {name}", value, whole=type(known[name]) is int, remedy=f"{known[name]} is usual.")
    given = {name: type(known[name])(value) for name, value in env_kwargs.items()}
    return _describe_compiled(dataclasses.replace(found, **given), source=env, action_masks=action_masks)


def _describe_compiled(env: AbstractEnvironment, *, source: EnvironmentLike, action_masks: bool | None) -> Task:
    from steepest.envs.with_mask import SaysWhatIsAllowed, WithMask

    if action_masks is not False and isinstance(env, SaysWhatIsAllowed):
        env = WithMask(env)
    limit = next((field for field in dataclasses.fields(env) if field.name == "max_episode_steps"), None)
    if limit is not None and not limit.metadata.get("static"):
        raise InputError(
            f"{type(env).__name__}.max_episode_steps is a number that may change, and a time limit is part of the "
            f"program. Declare it without a type, or as equinox.field(static=True)."
        )
    return Task(
        id=env.id,
        backend="compiled",
        library="steepest",
        observation_space=env.observation_space,
        action_space=env.action_space,
        max_episode_steps=env.max_episode_steps,
        source=source,
        env=env,
        importable=isinstance(source, str),
    )


def _envpool_has(env: str) -> bool:
    if importlib.util.find_spec("envpool") is None:
        return False
    from steepest.envs.adapters import envpool

    return envpool.available(env)


def _envpool(env: str, action_bounds: Bounds, env_kwargs: Keywords) -> Task:
    from steepest.envs.adapters import envpool

    known = envpool.known_ids()
    if known and env not in known:
        raise unknown("EnvPool environment", env, known, "steepest list envs")

    def make(num_envs: int, seed: int, max_episode_steps: int | None = None) -> AbstractVectorEnvironment:
        return envpool.EnvPoolEnvironment(
            env,
            num_envs=num_envs,
            seed=seed,
            action_bounds=action_bounds,
            max_episode_steps=max_episode_steps,
            env_kwargs=env_kwargs,
        )

    return _describe_host("envpool", make, make(1, 0), source=env, importable=True)


def _gymnasium(
    env: str | Callable[[], gymnasium.Env],
    action_bounds: Bounds,
    env_kwargs: Keywords,
    action_masks: bool | None,
) -> Task:
    from steepest.envs.adapters import gymnasium

    def make(
        num_envs: int,
        seed: int,
        max_episode_steps: int | None = None,
        render: bool = False,
        masks: MaskSource | None = None,
    ) -> SeparateEnvironments:
        return gymnasium.make(
            env,
            num_envs=num_envs,
            seed=seed,
            action_bounds=action_bounds,
            max_episode_steps=max_episode_steps,
            env_kwargs=env_kwargs,
            render=render,
            masks=masks,
        )

    one = make(1, 0)
    masks = one.find_masks() if action_masks is not False else None
    if masks is not None:
        one.close()
        one, make = make(1, 0, masks=masks), functools.partial(make, masks=masks)
    task = _describe_host("gymnasium", make, one, source=env, importable=False)
    return dataclasses.replace(task, importable=isinstance(env, str) and gymnasium.known_everywhere(env))


def _describe_host(
    backend: str,
    make: Callable[..., AbstractVectorEnvironment],
    one: AbstractVectorEnvironment,
    *,
    source: EnvironmentLike,
    importable: bool,
) -> Task:
    """The task of environments that are stepped on the host, as `one` of them is, which is closed."""
    try:
        return Task(
            id=one.id,
            backend=backend,
            library=one.library,
            observation_space=one.observation_space,
            action_space=one.action_space,
            max_episode_steps=one.max_episode_steps,
            source=source,
            make=make,
            importable=importable,
        )
    finally:
        one.close()


@functools.cache
def environment_ids() -> dict[str, list[str]]:
    """The environments that each installed backend knows."""
    from steepest.envs.adapters import envpool, gymnasium

    return {"compiled": sorted(COMPILED), "envpool": envpool.known_ids(), "gymnasium": gymnasium.known_ids()}
