"""Parts of networks: an encoder of the observation, layers, memory, and a head that makes a distribution of it."""

from steepest.networks.dense import ACTIVATIONS, ActivationName, Dense
from steepest.networks.encoders import AUTO, AbstractEncoder, Encoding, FlatEncoder, feature_count, features
from steepest.networks.heads import AbstractHead, CategoricalHead, GaussianKind, make_head
from steepest.networks.recurrent_cells import GRU, LSTM, AbstractMemory
from steepest.networks.recurrent_trunk import MemoryName, RecurrentTrunk

__all__ = [
    "ACTIVATIONS",
    "AUTO",
    "GRU",
    "LSTM",
    "AbstractEncoder",
    "AbstractHead",
    "AbstractMemory",
    "ActivationName",
    "CategoricalHead",
    "Dense",
    "Encoding",
    "FlatEncoder",
    "GaussianKind",
    "MemoryName",
    "RecurrentTrunk",
    "feature_count",
    "features",
    "make_head",
]
