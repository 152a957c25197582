"""An encoder of your own: any Equinox module from one observation to features, before policy and critic.

    python examples/own_encoder.py
    cd examples && steepest train ppo --env Catch-v0 --total-steps 50000 --encoder own_encoder:RowsAndColumns

PPO on Catch, a picture of 10 × 10, with an encoder that adds up the rows and the columns. It is called with
`(key, spec)`; what it makes of a picture is what the hidden layers see. Pictures come as bytes: scaling is its own.
"""

import pathlib
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt8

import steepest


class RowsAndColumns(eqx.Module):
    """The sums of the rows and of the columns of a picture, through one layer."""

    layer: eqx.nn.Linear

    def __init__(self, key: Key[Array, ""], spec: steepest.Spec):
        assert isinstance(spec.observation, steepest.Box)
        height, width, _ = spec.observation.shape
        self.layer = eqx.nn.Linear(height + width, 32, key=key)

    def __call__(self, picture: UInt8[Array, "height width 1"]) -> Float[Array, " 32"]:
        pixels = picture[:, :, 0].astype(jnp.float32) / 255
        return jax.nn.relu(self.layer(jnp.concatenate([pixels.sum(axis=0), pixels.sum(axis=1)])))


def main(total_steps: int = 50_000) -> None:
    """Train, and say what the policy returns."""
    sys.path.append(str(pathlib.Path(__file__).parent))
    ppo = steepest.PPO(num_envs=16, segment_length=64, minibatch_size=256, encoder="own_encoder:RowsAndColumns")
    result = steepest.train(ppo, "Catch-v0", total_steps=total_steps, evaluation_episodes=20)
    assert result.evaluation is not None
    print(f"mean return of 20 episodes: {result.evaluation['iqm']:.1f}, where 1 is every ball caught")


if __name__ == "__main__":
    main()
