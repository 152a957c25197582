"""Policies: from observations to distributions over actions. `behaviour` has what explores in their place."""

from steepest.policies.linear_gaussian import LinearGaussian
from steepest.policies.policy import (
    AbstractPolicy,
    AbstractPolicyWithValue,
    NetworkPolicy,
    SharedNetwork,
    TabularPolicy,
    network_policy,
)
from steepest.policies.recurrent_policy import RecurrentPolicy, RecurrentSharedNetwork
from steepest.policies.two_action import TwoActionPolicy

__all__ = [
    "AbstractPolicy",
    "AbstractPolicyWithValue",
    "LinearGaussian",
    "NetworkPolicy",
    "RecurrentPolicy",
    "RecurrentSharedNetwork",
    "SharedNetwork",
    "TabularPolicy",
    "TwoActionPolicy",
    "network_policy",
]
