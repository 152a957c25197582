"""Remember a sign down a corridor: TMaze-v0."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt8

from steepest.core.spaces import Discrete, MultiBinary
from steepest.core.validation import check_number
from steepest.envs.environment import AbstractEnvironment

NORTH, EAST, SOUTH, WEST = range(4)
SIGN_NORTH, SIGN_SOUTH, CORRIDOR, JUNCTION = (0, 1, 1), (1, 1, 0), (1, 0, 1), (0, 1, 0)
"""What is seen at the start, where it says which way the goal lies, in the corridor, and at its end."""


class TMazeState(NamedTuple):
    """Where the agent is, and where the goal."""

    position: Int[Array, ""]
    """Cells from the start of the corridor; the junction is as many away as the corridor is long."""
    goal_north: Bool[Array, ""]
    """Whether the goal is north of the junction; otherwise it is south of it."""


class TMaze(AbstractEnvironment[TMazeState]):
    """TMaze-v0: walk down a corridor and turn to the side that the sign at its start named.

    The corridor runs east from the start, cell 0, to a junction, cell `length`, with an arm to the north and one to the
    south, in one of which, at random, the goal is. The start shows which: (0, 1, 1) for north, (1, 1, 0) for south.
    The other cells of the corridor all show (1, 0, 1), the junction (0, 1, 0). So the sign must be remembered for
    `length` steps, and whoever turns without knowing it finds the goal in half of the episodes.

    East and west move along the corridor, and stay put at its ends; north and south stay put in the corridor, and turn
    into an arm at the junction, which terminates the episode. Turning to the goal earns 4, to the other side −0.1;
    staying put costs 0.1, moving nothing. The best return is therefore 4, after `length` + 1 steps; the best without
    memory is 1.95 on average.

    An episode *succeeds* where it ends at the goal. After fewer than 40 steps of staying put its return is then
    positive, and that of no other is, so the share of positive returns is the share of successes. The paper has no time
    limit; here it is ten times the steps that are needed, so that random walks still reach the junction.

    **Raises** `InputError` for a `length` that is not a whole number of at least 1.

    **Example**

    >>> TMaze(length=20).max_episode_steps
    210

    **Reference:** Bakker, *Reinforcement learning with long short-term memory*, 2002, section 4.1, without noise.
    """

    id: str = eqx.field(static=True, kw_only=True, default="TMaze-v0")
    render_fps: int = eqx.field(static=True, kw_only=True, default=10)

    length: int = eqx.field(static=True, default=10)
    """Cells from the start to the junction: steps over which the sign must be remembered."""
    goal_reward: float = 4.0
    """Earned by turning to the goal."""
    wrong_reward: float = -0.1
    """Earned by turning to the other side."""
    still_reward: float = -0.1
    """Earned by staying put."""

    def __check_init__(self):
        remedy = "10 is usual; the longer, the longer the memory that is needed."
        check_number("length", self.length, at_least=1, whole=True, remedy=remedy)

    @property
    def max_episode_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Ten times the steps that are needed."""
        return 10 * (self.length + 1)

    @property
    def observation_space(self) -> MultiBinary:
        """Three bits: one sign at the start, one for all cells of the corridor, one at the junction."""
        return MultiBinary(3)

    @property
    def action_space(self) -> Discrete:
        """0 goes north, 1 east, 2 south, 3 west."""
        return Discrete(4)

    def initial(self, key: Key[Array, ""]) -> TMazeState:
        """At the start; the goal is on either side with probability ½."""
        return TMazeState(jnp.zeros((), jnp.int32), jax.random.bernoulli(key))

    def observe(self, state: TMazeState) -> Int[Array, "3"]:
        """The sign, the corridor or the junction."""
        north, south, corridor, junction = (
            jnp.asarray(bits, jnp.int32) for bits in (SIGN_NORTH, SIGN_SOUTH, CORRIDOR, JUNCTION)
        )
        sign = jnp.where(state.goal_north, north, south)
        beyond = jnp.where(state.position == self.length, junction, corridor)
        return jnp.where(state.position == 0, sign, beyond)

    def step(
        self, key: Key[Array, ""], state: TMazeState, action: Int[Array, ""]
    ) -> tuple[TMazeState, Float[Array, ""], Bool[Array, ""]]:
        """Go one cell, turn, or stay put. The dynamics are deterministic: `key` is not used."""
        ahead = (action == EAST).astype(jnp.int32) - (action == WEST).astype(jnp.int32)
        position = jnp.clip(state.position + ahead, 0, self.length)
        turned = (state.position == self.length) & (ahead == 0)
        at_goal = (action == NORTH) == state.goal_north
        on_the_way = jnp.where(position == state.position, self.still_reward, 0.0)
        reward = jnp.where(turned, jnp.where(at_goal, self.goal_reward, self.wrong_reward), on_the_way)
        return TMazeState(position, state.goal_north), reward.astype(jnp.float32), turned

    def draw(self, state: TMazeState, action: np.ndarray | None) -> UInt8[np.ndarray, "height width 3"]:
        from steepest.envs.drawings.grids import draw_t_maze

        return draw_t_maze(int(state.position), bool(state.goal_north), action, length=self.length)
