"""Which encoder an observation gets."""

import dataclasses

import jax
from jaxtyping import Array, Key

from steepest.core.errors import InputError
from steepest.core.spaces import Box, Discrete, Leaf, Mask, Spec, is_picture, leaves
from steepest.networks.encoders.convolutional import ImpalaEncoder, NatureEncoder
from steepest.networks.encoders.embedding import EmbeddingEncoder
from steepest.networks.encoders.encoder import AbstractEncoder
from steepest.networks.encoders.flat import FlatEncoder
from steepest.networks.encoders.joined import JoinedEncoder
from steepest.networks.encoders.own_module import own_encoder
from steepest.networks.encoders.pictures import ChannelsName, Layout

MANY = 512
"""`Discrete` spaces with more choices than this get an embedding; with fewer, one-hot features cost as little."""
_FIRST_KEY = 0x0B5E
"""Folded into the key of a network for its encoders; keys that are split off are those of the first few numbers."""
_KINDS = {"nature": NatureEncoder, "impala": ImpalaEncoder}


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How the observations of a task are encoded: which encoders they get.

    **Arguments**

    - `encoder`: `auto` chooses by the space, for each array of an observation: `nature` for pictures, `embedding` for
      choices among more than 512, and everything else laid flat, `mlp`. Another name is for all arrays that it is made
      for, while the others get what `auto` gives them; `mlp` is for all. `module:Class` is one of the user's own for
      the whole observation, called with `(key, spec)`: an `AbstractEncoder`, or any module that makes features of one
      observation.
    - `channels`: where pictures have their channels, if the space does not tell.
    """

    encoder: str = "auto"
    channels: ChannelsName = "auto"

    def initial(self, key: Key[Array, ""], spec: Spec) -> AbstractEncoder:
        """Draw the encoder of a task.

        **Raises** `InputError` where nothing in an observation is what `encoder` is made for, or a picture does not
        tell where its channels are.

        >>> from steepest.core.spaces import Dict
        >>> import numpy as np
        >>> seen = Dict({"picture": Box(0, 255, (84, 84, 3), dtype=np.uint8), "speed": Box(-1, 1, (2,))})
        >>> Encoding().initial(jax.random.key(0), Spec(seen, Discrete(2), num_envs=1, total_updates=1)).size
        514
        """
        if ":" in self.encoder:
            return own_encoder(jax.random.fold_in(key, _FIRST_KEY), spec, self.encoder)
        named = [(name, leaf) for name, leaf in leaves(spec.observation, "obs") if not isinstance(leaf, Mask)]
        kinds = [self._kind(leaf) for _, leaf in named]
        self._check(spec, kinds)
        if all(kind == "mlp" for kind in kinds):
            return FlatEncoder(spec.observation)
        made = tuple(
            self._made(kind, jax.random.fold_in(key, _FIRST_KEY + index), name, leaf, spec)
            for index, (kind, (name, leaf)) in enumerate(zip(kinds, named, strict=True))
        )
        return made[0] if named[0][1] is spec.observation else JoinedEncoder(made)

    def _kind(self, leaf: Leaf) -> str:
        """The encoder of one array."""
        if self.encoder == "mlp" or (self.encoder != "auto" and _takes(self.encoder, leaf)):
            return self.encoder
        if is_picture(leaf):
            return "nature"
        return "embedding" if isinstance(leaf, Discrete) and leaf.n > MANY else "mlp"

    def _check(self, spec: Spec, kinds: list[str]) -> None:
        if self.encoder != "auto" and self.encoder not in kinds:
            what = "choices (Discrete)" if self.encoder == "embedding" else "pictures (a Box with three axes)"
            raise InputError(
                f"encoder is {self.encoder!r}, which is of {what}, but observations are {spec.observation}. Take "
                "'auto' or 'mlp'."
            )
        if self.channels != "auto" and not set(kinds) & set(_KINDS):
            raise InputError(
                f"channels is {self.channels!r}, but no convolution sees observations of {spec.observation}. Leave it "
                "out."
            )

    def _made(self, kind: str, key: Key[Array, ""], name: str, leaf: Leaf, spec: Spec) -> AbstractEncoder:
        if isinstance(leaf, Box) and kind in _KINDS:
            return _KINDS[kind].initial(key, leaf, Layout.of(leaf, self.channels, spec.frame_stack, name))
        if isinstance(leaf, Discrete) and kind == "embedding":
            return EmbeddingEncoder.initial(key, leaf)
        return FlatEncoder(leaf)


AUTO = Encoding()
"""What networks get unless they are told otherwise."""


def _takes(encoder: str, leaf: Leaf) -> bool:
    if encoder == "embedding":
        return isinstance(leaf, Discrete)
    return isinstance(leaf, Box) and len(leaf.shape) in (3, 4)
