"""The vocabulary of hyper-parameters: for each name one type, one bound, one sentence of help. No JAX here.

An algorithm lists its fields with these types, one line each. Validation, the command line's help and the table of the
documentation read the same annotation. A name means one type everywhere: `learning_rate` is a `LearningRate`.

Numbers that are no counts may be JAX arrays, so that `jax.vmap` can train over many of them at once; they are checked
where their values are known.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from steepest.core.validation import LOG_STD_BOUNDS, Bound, Help, Search

if TYPE_CHECKING:
    from jax import Array

    Float = float | Array
else:
    Float = Any

Number = Annotated[Float, tyro.conf.arg(constructor=float, metavar="FLOAT")]
"""A float; or an array of one, under `jax.vmap`."""
Fixed = float
"""A float that is part of the program: it cannot be mapped over."""
Count = int
"""A whole number, which is part of the program."""

# fmt: off
# How much is sampled.
NumEnvs = Annotated[Count, Help("Environments that are sampled side by side, each a stream of transitions."),
    Bound("8 is usual.", at_least=1, at_most=10**6, whole=True), Search(1, 64, factor=4)]
SegmentLength = Annotated[Count, Help("Steps of each environment in an update; num_envs × segment_length rows in all."),
    Bound("1 to 2048 are usual.", at_least=1, at_most=10**6, whole=True), Search(1, 2048, factor=4)]
Discount = Annotated[Number, Help("γ, per step: a reward k steps ahead counts γ^k."),
    Bound("0.99 is usual.", at_least=0, at_most=1), Search(0.9, 0.9995, complement=True)]
EpisodesPerPolicy = Annotated[Count, Help("Episodes of each perturbed policy in an update, played side by side."),
    Bound("1 is usual.", at_least=1, at_most=10**5, whole=True), Search(1, 16, factor=4)]

# Advantages.
GAELambda = Annotated[Number, Help("λ of GAE: 0 trusts the critic, 1 the returns."),
    Bound("0.95 is usual.", at_least=0, at_most=1), Search(0.8, 1)]
NStep = Annotated[Count | None, Help("n: use n-step advantages, n rewards and then the critic, in place of GAE."),
    Bound("5 is usual.", at_least=1, at_most=10**6, whole=True)]
NormaliseAdvantages = Annotated[bool,
    Help("Standardise advantages over the update: subtract their mean, divide by their deviation.")]
Returns = Annotated[Literal["reward_to_go", "whole_return"],
    Help("What an action's score is weighted with: the reward that followed it (G4), or all of the episode's (G3).")]
DiscountStates = Annotated[bool,
    Help("Put in the factor γ^t, which makes it the gradient of J (option 2 of G5); most leave it out (option 1).")]
Baseline = Annotated[Literal["none", "average_return", "average_to_go", "per_time_step", "optimal", "optimal_scalar"],
    Help("Subtract an average over the other episodes (G6): of returns, of all rewards-to-go, or of those at its "
         "time; or the baseline of least variance for the whole return, for each parameter or for all.")]
ImportanceWeight = Annotated[Literal["first_order", "causal", "whole"],
    Help("The ratio of the action itself; of all actions up to it; or of the whole episode (G12).")]
WeightLimit = Annotated[Number,
    Help("Larger importance weights become this: less variance, more bias. inf never limits."),
    Bound("2 to 10 are usual; inf never limits.", above=0, infinite=True), Search(1, 100, log=True, factor=10)]

# Objectives.
ClipRadius = Annotated[Number, Help("How far the ratio may leave 1 before it stops paying."),
    Bound("0.2 is usual.", above=0), Search(0.05, 0.5, log=True)]
FinalClipRadius = Annotated[Number | None,
    Help("Where the clip radius gets to at the end of training, in a straight line; it stays when left out."),
    Bound("0.01 is small.", above=0)]
ValueClipRadius = Annotated[Number | None,
    Help("How far an update may take the critic's values, in the unit of (scaled) return; no limit when left out."),
    Bound("0.2 suits scaled rewards.", above=0)]
EntropyBonus = Annotated[Number, Help("β: the weight of the policy's entropy, in units of advantage per nat."),
    Bound("0 to 0.01 are usual.", at_least=0), Search(0, 0.03)]
ValueCoefficient = Annotated[Number,
    Help("Weight of the critic's loss beside the policy's objective, where they share a network."),
    Bound("0.5 is usual.", above=0), Search(0.1, 2, log=True)]
Form = Annotated[Literal["auto", "expected", "score", "reparameterised"],
    Help("The gradient of Q: a sum over all actions, scores of drawn actions, or through the critic's slope. auto "
         "sums over one discrete choice, and takes scores elsewhere.")]
FreshActions = Annotated[Count,
    Help("Actions that are drawn in each state: to average Q, or as each other's baseline."),
    Bound("8 is usual.", at_least=1, at_most=10**4, whole=True), Search(2, 32, factor=4)]

# Steps of the policy and of the critic.
LearningRate = Annotated[Number, Help("Step size of the policy's optimiser."), Bound("3e-4 is usual.", above=0),
    Search(1e-6, 1, log=True, factor=30)]
CriticLearningRate = Annotated[Number | None, Help("Step size of the critic's optimiser; the policy's when left out."),
    Bound("1e-3 is usual.", above=0), Search(1e-6, 1, log=True, factor=30)]
Anneal = Annotated[bool, Help("Let learning rates fall linearly to 0 at the end of training."),
    Search(choices=(False, True))]
ClipGlobalNorm = Annotated[Number,
    Help("Longer gradients of first-order steps are shortened to this; inf never clips."),
    Bound("0.5 is usual; inf never clips.", above=0, infinite=True), Search(0.1, 10, log=True)]
Epochs = Annotated[Count, Help("Passes over the rows of an update, of policy and critic."),
    Bound("4 to 10 are usual.", at_least=1, at_most=10**5, whole=True), Search(1, 64, factor=4)]
CriticEpochs = Annotated[Count, Help("Passes of the critic over the rows of an update."),
    Bound("10 is usual.", at_least=1, at_most=10**5, whole=True), Search(1, 64, factor=4)]
MinibatchSize = Annotated[Count, Help("Rows in one gradient step; must divide num_envs × segment_length."),
    Bound("64 to 512 are usual.", at_least=1, at_most=2**31 - 1, whole=True), Search(16, 1024, factor=4)]
KLStop = Annotated[Fixed, Help("Make no further epoch once the policy has moved by more than this, in nats."),
    Bound("0.02 is usual; inf never stops.", above=0, infinite=True), Search(choices=(0.01, 0.02, 0.05))]
KLRadius = Annotated[Number, Help("ε: how far the policy may move in an update, in nats."),
    Bound("0.01 is usual.", above=0), Search(1e-3, 0.1, log=True)]
FinalKLRadius = Annotated[Number | None,
    Help("Where the radius gets to at the end of training, in a straight line; it stays when left out."),
    Bound("1e-3 is small.", above=0)]
KLTarget = Annotated[Number, Help("The KL of an update that the penalty aims at, in nats."),
    Bound("0.01 is usual.", above=0), Search(1e-3, 0.1, log=True)]
KLPrice = Annotated[Number, Help("λ at first, in units of standardised advantage per nat."),
    Bound("1 is usual.", at_least=0), Search(0.1, 10, log=True)]
KLPriceRate = Annotated[Number,
    Help("α: how fast λ follows the violation, in units of standardised advantage per nat²."),
    Bound("100 is usual.", above=0), Search(1, 1000, log=True)]
Adaptive = Annotated[bool, Help("Double and halve λ to keep the KL near its target.")]
Rounds = Annotated[Count,
    Help("Climbs in an update, each with the λ that the last one left; the epochs are made in every round."),
    Bound("1 is usual.", at_least=1, at_most=10**4, whole=True), Search(1, 8, factor=4)]
ReverseKL = Annotated[bool, Help("Measure KL(new ‖ old) in place of KL(old ‖ new).")]
Damping = Annotated[Number, Help("Added to the diagonal of the Fisher information."),
    Bound("0.01 to 0.1 are usual.", at_least=0), Search(1e-3, 1, log=True)]
Solver = Annotated[Literal["conjugate_gradient", "dense"],
    Help("How the Fisher information is inverted; dense is for policies of some hundred parameters.")]
Fisher = Annotated[Literal["exact", "empirical"],
    Help("The Fisher information in closed form for each state, or from the scores of the actions taken.")]
CGIterations = Annotated[Count, Help("Iterations of conjugate gradients, at most."),
    Bound("10 is usual.", at_least=1, at_most=10**4, whole=True)]
FisherRows = Annotated[Count | None, Help("Make the Fisher information of about so many rows; of all when left out."),
    Bound("A quarter of the rows is usual.", at_least=1, at_most=2**31 - 1, whole=True)]
Backtracks = Annotated[Count, Help("Shorter steps that are tried after the first."),
    Bound("10 is usual.", at_least=0, at_most=10**3, whole=True)]
Shrink = Annotated[Number, Help("The length of each of them, as a share of the one before."),
    Bound("0.5 to 0.8 are usual.", above=0, at_most=0.99), Search(0.3, 0.9)]
Radius = Annotated[Number, Help("ε: half the squared length of a step in parameter space."),
    Bound("0.01 is usual.", above=0), Search(1e-4, 1, log=True)]
RestrictedRadius = Annotated[Number | None,
    Help("Take the restricted gradient (S2) with this ε in place of Adam: steps of length √(2ε)."),
    Bound("0.01 is usual.", above=0), Search(1e-4, 1, log=True)]

# Perturbed parameters.
Delta = Annotated[Number,
    Help("δ: how far parameters are moved: a step of one of them, or the deviation of random ones."),
    Bound("0.2 is usual.", above=0, at_most=1000.0), Search(0.01, 2, log=True)]
Central = Annotated[bool,
    Help("Move a parameter both ways; otherwise forwards only, which takes half the episodes and errs more.")]
Perturbations = Annotated[Count,
    Help("m: perturbed policies in an update; one more plays at the parameters themselves."),
    Bound("31 is usual.", at_least=1, at_most=10**6, whole=True), Search(8, 256, factor=4)]
NoisyActions = Annotated[bool,
    Help("Draw actions from the perturbed policies, in place of their modes. The perturbations explore already.")]

# Earlier data, replay and demonstrations.
Batches = Annotated[Count, Help("K: updates whose episodes are kept, the newest among them."),
    Bound("4 is usual.", at_least=1, at_most=10**9, whole=True), Search(1, 16, factor=4)]
GradientSteps = Annotated[Count, Help("Steps of the policy in an update, each on all that is kept."),
    Bound("8 is usual.", at_least=1, at_most=10**6, whole=True), Search(1, 64, factor=4)]
ReplayRatio = Annotated[Fixed,
    Help("Gradient steps for each step of an environment; num_envs × segment_length × this must be a whole number."),
    Bound("1 is usual.", above=0, at_most=10**4), Search(choices=(0.125, 0.25, 0.5, 1.0, 2.0))]
Capacity = Annotated[Count,
    Help("Transitions in the replay buffer, of all environments together; no more are laid out than the run will "
         "make."),
    Bound("1000000 is usual.", at_least=1, at_most=2**31 - 1, whole=True)]
BatchSize = Annotated[Count, Help("Transitions in one gradient step."),
    Bound("64 to 256 are usual.", at_least=1, at_most=10**7, whole=True), Search(16, 512, factor=4)]
WarmUpSteps = Annotated[Count, Help("Transitions that are gathered by uniform actions, before learning begins."),
    Bound("1000 is usual.", at_least=0, at_most=2**31 - 1, whole=True)]
ReturnSteps = Annotated[Count,
    Help("n: rewards that are added up before the critic is asked. Above 1, what follows an old action is taken "
         "for what the policy would do."),
    Bound("1 to 5 are usual.", at_least=1, at_most=10**5, whole=True), Search(1, 8, factor=4)]
Critics = Annotated[Literal[1, 2],
    Help("Critics of actions; of two the lesser counts, which keeps errors from growing upwards."),
    Search(choices=(1, 2))]
TargetRate = Annotated[Number, Help("τ: how far target networks follow in one gradient step."),
    Bound("0.005 is usual; 1 copies.", above=0, at_most=1), Search(1e-3, 0.1, log=True)]
ActionValue = Annotated[Literal["network", "compatible"],
    Help("The critic: a network of its own; or one whose slope in the action is linear in the policy's features.")]
Behaviour = Annotated[str,
    Help("Who acts: uniform; soft, the policy itself, where it is uniform a share uniform_share of the time; or "
         "the directory of a run, whose first seed acts.")]
Exploration = Annotated[Literal["gaussian", "ornstein_uhlenbeck", "uniform"],
    Help("What acts: the policy with noise that is new at every step; with noise that drifts, so that neighbouring "
         "steps get nearly the same; or uniform actions.")]
NoiseLogStd = Annotated[Fixed,
    Help("log σ of the noise for exploring, relative to half the width of the action space: −2.3 is a tenth of it."),
    Bound("-2.3 is usual.", at_least=LOG_STD_BOUNDS[0], at_most=LOG_STD_BOUNDS[1]),
    Search(choices=(-2.3, -1.6, -1.2, -0.7))]
HeldOut = Annotated[Fixed,
    Help("Share of the episodes that is kept from learning, for the metrics alone; of single rows, where the "
         "demonstrations do not tell episodes. 0 learns from everything."),
    Bound("0.1 is usual.", at_least=0, at_most=0.9)]
Workers = Annotated[Count, Help("Processes that sample and compute gradients, each with a copy of the parameters."),
    Bound("4, say.", at_least=1, at_most=1024, whole=True)]
RayAddress = Annotated[str | None,
    Help("HOST:PORT of a Ray cluster that runs, or auto for the one on this machine. When left out, Ray is started "
         "here and ends with the run.")]

# Networks and normalisation.
Policy = Annotated[Literal["network", "linear", "tabular"],
    Help("A network; linear in the observation; or a logit for each pair of discrete observation and action.")]
SharedNetwork = Annotated[bool,
    Help("Let actor and critic share one network with two heads, with value_coefficient between their losses.")]
Encoder = Annotated[str,
    Help("What observations go through before the hidden layers: auto chooses for each array of an observation; mlp "
         "lays it flat, nature and impala are convolutions of pictures, embedding is of choices among many; "
         "module:Class is one of your own, called with (key, spec).")]
Channels = Annotated[Literal["auto", "first", "last"],
    Help("Where pictures have their channels, if their space does not tell: before or after height and width.")]
Hidden = Annotated[tuple[int, ...], Help("Widths of the hidden layers of policy and critic; none gives linear ones."),
    Bound("64 64 is usual.", at_least=1, at_most=2**16, whole=True)]
Memory = Annotated[Literal["none", "gru", "lstm"],
    Help("What policy and critic remember of an episode, between the hidden layers and the last one. Minibatches are "
         "then of whole streams, as many as minibatch_size rows need.")]
MemorySize = Annotated[Count, Help("Features that a memory holds."),
    Bound("64 is usual.", at_least=1, at_most=2**16, whole=True)]
SequenceLength = Annotated[Count | None,
    Help("With memory: rows that a gradient goes back through; minibatches are then of such sequences. Must divide "
         "segment_length, which is what it is when left out."),
    Bound("16 to 64 are usual.", at_least=1, at_most=10**6, whole=True)]
RecomputeMemory = Annotated[bool,
    Help("Before every epoch, compute anew what sequences begin with, by the parameters as they are. What the segment "
         "itself begins with stays as it was when it was acted with.")]
Activation = Annotated[Literal["tanh", "relu", "elu", "gelu", "silu"], Help("The nonlinearity between the layers.")]
GaussianKind = Annotated[Literal["gaussian", "state_dependent", "squashed"],
    Help("For continuous actions: σ the same in all states, σ by state, or that and a tanh that ends at the bounds.")]
LogStd = Annotated[Fixed,
    Help("log σ of continuous actions at first, relative to half the width of the action space. Where σ depends on the "
         "state, the bounds themselves are excluded."),
    Bound("0 is usual; below it explores less.", at_least=LOG_STD_BOUNDS[0], at_most=LOG_STD_BOUNDS[1]),
    Search(choices=(-1.5, -1.0, -0.5, 0.0))]
UniformShare = Annotated[Fixed,
    Help("ε: so often the policy chooses uniformly, among discrete actions. That is part of π."),
    Bound("0.1 is usual; at 1 there is nothing to learn.", at_least=0, at_most=0.99),
    Search(choices=(0.0, 0.05, 0.1, 0.2))]
NormaliseObservations = Annotated[bool, Help("Shift and scale observations by their running mean and deviation."),
    Search(choices=(False, True))]
ScaleRewards = Annotated[bool, Help("Divide rewards by the running deviation of the discounted return."),
    Search(choices=(False, True))]
