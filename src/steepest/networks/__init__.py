"""Parts of networks: an encoder of the observation, layers, and a head that makes a distribution of their outputs."""

from steepest.networks.dense import ACTIVATIONS, ActivationName, Dense
from steepest.networks.encoders import AbstractEncoder, FlatEncoder, feature_count, features
from steepest.networks.heads import AbstractHead, CategoricalHead, GaussianKind, make_head

__all__ = [
    "ACTIVATIONS",
    "AbstractEncoder",
    "AbstractHead",
    "ActivationName",
    "CategoricalHead",
    "Dense",
    "FlatEncoder",
    "GaussianKind",
    "feature_count",
    "features",
    "make_head",
]
