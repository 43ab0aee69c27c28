"""The names of gradients and bounds, as the user writes them."""

from typing import Literal

Gradient = Literal["path", "stl", "score"]
BoundName = Literal["elbo", "iwae"]
