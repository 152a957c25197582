"""Encoders: how an observation enters a network."""

from steepest.networks.encoders.choosing import AUTO, Encoding
from steepest.networks.encoders.convolutional import ImpalaEncoder, NatureEncoder
from steepest.networks.encoders.embedding import EmbeddingEncoder
from steepest.networks.encoders.encoder import AbstractEncoder
from steepest.networks.encoders.flat import FlatEncoder, feature_count, features
from steepest.networks.encoders.joined import JoinedEncoder

__all__ = [
    "AUTO",
    "AbstractEncoder",
    "EmbeddingEncoder",
    "Encoding",
    "FlatEncoder",
    "ImpalaEncoder",
    "JoinedEncoder",
    "NatureEncoder",
    "feature_count",
    "features",
]
