"""How good estimates of the gradient are."""
