"""A gradient without the samples that it was computed from, as a problem for step rules."""

from jaxtyping import Array, Float, Int

from steepest.core.problem import AbstractMaximisation, Info, Parameters


class GivenGradient(AbstractMaximisation[Parameters]):
    """A problem of which no more is known than its gradient, and that at one place.

    Whoever has the samples computed it, somewhere else. It suffices for rules that ask for one gradient and no more.

    - `value`: the gradient, whatever the parameters.
    - `info`: what came with it, with the `objective`.
    """

    value: Parameters
    info: Info

    @classmethod
    def of(cls, problem: AbstractMaximisation[Parameters], parameters: Parameters) -> "GivenGradient[Parameters]":
        """The gradient of a problem at `parameters`."""
        return cls(*problem.gradient(parameters))

    @property
    def size(self) -> int:
        return 1

    def minibatch(self, indices: Int[Array, " M"]) -> "GivenGradient[Parameters]":
        raise TypeError("only the gradient is known here, and no rows. Use a rule that takes one step on all of them.")

    def evaluate(self, parameters: Parameters) -> tuple[Float[Array, ""], Info]:
        raise TypeError("only the gradient is known here. Use a rule that asks for nothing else, such as Ascent.")

    def gradient(self, parameters: Parameters) -> tuple[Parameters, Info]:
        return self.value, self.info
