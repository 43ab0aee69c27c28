"""Flow matching: predict the velocity noise - data, on the straight path.

E |noise - data - velocity_theta(x_t, t)|^2. Lipman et al. 2023, https://arxiv.org/abs/2210.02747.
"""

from collections.abc import Sequence

from pushforward.parts.paths import Linear

from .assemble import Source, assemble
from .diffusion import Diffusion


def flow_matching(data: Source = None, *, event_shape: int | Sequence[int] | None = None, classes: int | None = None,
                  levels: int | None = None, width: int | None = None) -> Diffusion:  # fmt: skip
    """Velocity prediction on `Linear()`: E|velocity(x_t, t) - (noise - data)|^2, x_t = (1 - t) data + t noise.

    The arguments are those of `ddpm`. With a Gaussian end it is a diffusion like the others: all samplers and the
    likelihood apply.

    >>> flow_matching(event_shape=2).predict
    'velocity'
    """
    return assemble(Linear(), "velocity", data, event_shape, classes, levels, width)
