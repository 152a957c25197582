"""Short compositions of the parts. Importing this does not import JAX."""

from steepest.algorithms.a2c import A2C
from steepest.algorithms.a3c import A3C
from steepest.algorithms.batch_actor_critic import BatchActorCritic
from steepest.algorithms.behaviour_cloning import BehaviourCloning
from steepest.algorithms.ddpg import DDPG
from steepest.algorithms.dpg import DPG
from steepest.algorithms.dual_descent import DualDescent
from steepest.algorithms.finite_difference_ascent import FiniteDifferenceAscent
from steepest.algorithms.fitted_policy_iteration import FittedPolicyIteration
from steepest.algorithms.hyper_parameters import HyperParameters
from steepest.algorithms.importance_sampled_pg import ImportanceSampledPG
from steepest.algorithms.npg import NPG
from steepest.algorithms.off_pac import OffPAC
from steepest.algorithms.off_policy_actor_critic import OffPolicyActorCritic
from steepest.algorithms.online_actor_critic import OnlineActorCritic
from steepest.algorithms.pg_baseline import PGBaseline
from steepest.algorithms.ppo import PPO
from steepest.algorithms.ppo_penalty import PPOPenalty
from steepest.algorithms.regression_ascent import RegressionAscent
from steepest.algorithms.reinforce import Reinforce
from steepest.algorithms.restricted_gradient import RestrictedGradient
from steepest.algorithms.trpo import TRPO

ALGORITHMS: dict[str, type[HyperParameters]] = {
    each.name: each
    for each in (
        PPO,
        PPOPenalty,
        TRPO,
        NPG,
        DualDescent,
        A2C,
        A3C,
        BatchActorCritic,
        OnlineActorCritic,
        Reinforce,
        PGBaseline,
        RestrictedGradient,
        FittedPolicyIteration,
        FiniteDifferenceAscent,
        RegressionAscent,
        ImportanceSampledPG,
        BehaviourCloning,
        OffPolicyActorCritic,
        OffPAC,
        DPG,
        DDPG,
    )
}

__all__ = [
    "A2C",
    "A3C",
    "ALGORITHMS",
    "DDPG",
    "DPG",
    "NPG",
    "PPO",
    "TRPO",
    "BatchActorCritic",
    "BehaviourCloning",
    "DualDescent",
    "FiniteDifferenceAscent",
    "FittedPolicyIteration",
    "HyperParameters",
    "ImportanceSampledPG",
    "OffPAC",
    "OffPolicyActorCritic",
    "OnlineActorCritic",
    "PGBaseline",
    "PPOPenalty",
    "RegressionAscent",
    "Reinforce",
    "RestrictedGradient",
]
