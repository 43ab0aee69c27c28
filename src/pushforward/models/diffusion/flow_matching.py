"""Flow matching: predict the velocity noise - data, on the straight path.

E |noise - data - velocity_theta(x_t, t)|^2. Lipman et al. 2023, https://arxiv.org/abs/2210.02747. Which noise meets which
data is the `coupling`: see `coupling.py`.
"""

from collections.abc import Sequence

from pushforward.parts.data import Images, Table
from pushforward.parts.paths import Linear

from .assemble import Source, assemble
from .coupling import Coupling
from .diffusion import Diffusion
from .velocity_matching import FlowMatching


def flow_matching(data: Source = None, *, event_shape: int | Sequence[int] | None = None, classes: int | None = None,
                  levels: int | None = None, width: int | None = None,
                  coupling: Coupling = "independent") -> Diffusion:  # fmt: skip
    """Velocity prediction on `Linear()`: E|velocity(x_t, t) - (noise - data)|^2, x_t = (1 - t) data + t noise.

    With `coupling="optimal"` the noise of a batch is dealt to its data by optimal transport, within the condition where there is one
    ("conditional_optimal"): straighter flows, good in fewer steps. The other arguments are those of `ddpm`. With independent pairs it is
    a diffusion like the others, and all samplers apply; with optimal ones those that follow the flow do, and the likelihood.

    >>> flow_matching(event_shape=2).predict
    'velocity'
    >>> flow_matching(event_shape=2, classes=3, coupling="optimal").objective
    FlowMatching(coupling='conditional_optimal', drop_condition=0.1)
    """
    given = classes is not None
    if isinstance(data, Images):
        given = data.classes is not None
    elif isinstance(data, Table):
        given = data.condition is not None
    own: Coupling = "conditional_optimal" if coupling == "optimal" and given else coupling
    return assemble(Linear(), "velocity", data, event_shape, classes, levels, width, loss=FlowMatching(own))
