"""From observations to distributions over actions."""

from steepest.policies.heads import GaussianKind
from steepest.policies.policy import NetworkPolicy, TabularPolicy, network_policy

__all__ = ["GaussianKind", "NetworkPolicy", "TabularPolicy", "network_policy"]
