"""From observations to distributions over actions."""

from steepest.policies.heads import GaussianKind
from steepest.policies.linear_gaussian import LinearGaussian
from steepest.policies.policy import NetworkPolicy, SharedTrunkPolicy, TabularPolicy, network_policy
from steepest.policies.two_action import TwoActionPolicy

__all__ = [
    "GaussianKind",
    "LinearGaussian",
    "NetworkPolicy",
    "SharedTrunkPolicy",
    "TabularPolicy",
    "TwoActionPolicy",
    "network_policy",
]
