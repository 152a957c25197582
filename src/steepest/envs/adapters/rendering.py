"""Pictures of Gymnasium's environments: what their `render` returns, or a drawing of ours of the same state."""

import os
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any, cast

import gymnasium
import numpy as np
from jaxtyping import UInt8

from steepest.core.errors import EnvironmentFault, InputError
from steepest.core.types import PyTree
from steepest.envs import COMPILED, compiled
from steepest.envs.adapters.faults import one_line, raised

RENDER_MODE = "rgb_array"
"""The mode in which `render` returns bytes."""
_GRAPHICS = ("egl", "osmesa")
"""What MuJoCo can draw with where there is no display."""


def check_render_mode(name: str, env: gymnasium.Env, *, given: bool) -> None:
    """**Raises** `InputError` for an environment whose `render` returns no bytes.

    **Arguments**

    - `given`: whether a function of the user's made it.
    """
    if env.render_mode == RENDER_MODE or _drawing(env) is not None:
        return
    if given:
        raise InputError(
            f"environment {name} has render_mode {env.render_mode!r}, so it has no pictures. Give a function that "
            f"takes render_mode, or makes it with render_mode={RENDER_MODE!r}."
        )
    known = env.metadata.get("render_modes", [])
    raise InputError(
        f"environment {name} has no pictures: of the render modes it knows, {known}, none is {RENDER_MODE!r}."
    )


def picture_of(name: str, env: gymnasium.Env, action: PyTree) -> UInt8[np.ndarray, "height width 3"]:
    """What an environment looks like now.

    **Arguments**

    - `action`: the one that was taken last, as policies number it; None where an episode begins.

    **Raises** `InputError` where something is missing that draws it, with the line that installs it;
    `EnvironmentFault` where it raises, or returns no picture.
    """
    _choose_graphics(name)
    try:
        found = env.render()
    except gymnasium.error.DependencyNotInstalled as error:
        ours = _drawing(env)
        if ours is None:
            raise InputError(f"environment {name} cannot be drawn: {one_line(error)}.") from error
        return ours(action)
    except Exception as error:
        if lacks_graphics(error):
            raise InputError(nothing_draws(name, one_line(error))) from error
        raise raised(name, error, "in render") from error
    if not isinstance(found, np.ndarray) or found.dtype != np.uint8 or found.ndim != 3 or found.shape[-1] != 3:
        what = f"{found.dtype}{list(found.shape)}" if isinstance(found, np.ndarray) else f"a {type(found).__name__}"
        raise EnvironmentFault(
            f"{name}: render returned {what}; it must return bytes [height, width, 3]. Correct the environment."
        )
    return found


def frames_per_second(env: gymnasium.Env) -> float:
    """How many steps of an environment are shown in a second."""
    found = env.metadata.get("render_fps")
    return float(found) if isinstance(found, int | float) and found > 0 else 30.0


def _drawing(env: gymnasium.Env) -> Callable[[PyTree], np.ndarray] | None:
    """A function from the last action to our drawing of a classic environment; None for others."""
    name, state = env.spec.id if env.spec else "", getattr(env.unwrapped, "state", None)
    if name not in COMPILED or not type(env.unwrapped).__module__.startswith("gymnasium.envs.classic_control"):
        return None
    import jax

    ours = compiled(name)
    assert ours is not None
    kind: Any = type(jax.eval_shape(ours.initial, jax.random.key(0)))
    return lambda action: cast("np.ndarray", ours.draw(kind(*np.asarray(state)), action))


def _choose_graphics(name: str) -> None:
    """Let MuJoCo draw without a display, unless somebody has chosen. **Raises** `InputError` where nothing can."""
    if "mujoco" not in sys.modules or os.environ.get("MUJOCO_GL"):
        return
    for each in _GRAPHICS:
        if _draws(each):
            os.environ["MUJOCO_GL"] = each
            return
    if not os.environ.get("DISPLAY"):
        raise InputError(nothing_draws(name, "neither EGL nor OSMesa works here"))


def _draws(graphics: str) -> bool:
    """Whether MuJoCo can draw with it: tried in another process, since the first that is tried is there to stay."""
    code = f"from mujoco.{graphics} import GLContext; GLContext(8, 8).make_current()"
    environment = os.environ | {"MUJOCO_GL": graphics}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=False)
    return done.returncode == 0


def lacks_graphics(error: Exception) -> bool:
    """Whether an exception comes from what MuJoCo draws with, and not from what is drawn."""
    place: types.TracebackType | None = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    module = "" if place is None else place.tb_frame.f_globals.get("__name__", "")
    return module.startswith(("mujoco.", "OpenGL", "gymnasium.envs.mujoco.mujoco_rendering"))


def nothing_draws(name: str, why: str) -> str:
    """What is said of it, and what to do."""
    return (
        f"environment {name}: MuJoCo has nothing to draw with ({why}). Run: apt-get install libegl1 (or libosmesa6), "
        f"or set MUJOCO_GL to what works here; it is {os.environ.get('MUJOCO_GL') or 'not set'}."
    )
