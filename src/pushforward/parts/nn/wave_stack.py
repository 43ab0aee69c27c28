"""The network of WaveNet: gated layers of dilated causal convolutions, with residual and skip connections.

    z^l = tanh(W_f * h^l + V_f c) . sigmoid(W_g * h^l + V_g c),    h^{l+1} = h^l + R^l z^l,
    out = A relu(B relu(sum_l S^l z^l)),

van den Oord et al. 2016, https://arxiv.org/abs/1609.03499, equations 2 and 3 and figure 4. `c` is a condition: the same at
all times (global), or a feature for every instant (local).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .causal_conv import CausalConv


@register
class WaveStack(nn.Module):
    """`inputs` numbers an instant in, `outputs` out; instant t of the output depends on t and the `past` instants before it.

    Args:
        width: of the hidden state h, and of the gates z.
        skip: width of the sum of the skip connections.
        dilations: of the layers, such as 1, 2, 4, ..., 512, repeated; `past` is their sum.
        condition: width of c, 0 for none.

    Raises `ConfigError` for no layers, or sizes below 1.

    >>> stack = WaveStack(1, 5, width=8, skip=8, dilations=[1, 2, 4])
    >>> stack.past, stack(torch.zeros(2, 7 + 10, 1)).shape
    (7, torch.Size([2, 10, 5]))
    """

    def __init__(self, inputs: int, outputs: int, width: int = 32, skip: int = 64,
                 dilations: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128, 256), condition: int = 0):  # fmt: skip
        super().__init__()
        if not dilations or min(inputs, outputs, width, skip, *dilations) < 1 or condition < 0:
            raise ConfigError(f"expected layers and sizes of at least 1, got inputs {inputs}, outputs {outputs}, width {width}, "
                              f"skip {skip}, dilations {list(dilations)}, condition {condition}")  # fmt: skip
        self.width, self.dilations, self.past = width, list(dilations), sum(dilations)
        self.front = nn.Linear(inputs, width)
        self.gates = nn.ModuleList(CausalConv(width, 2 * width, d) for d in dilations)
        self.given = nn.ModuleList(nn.Linear(condition, 2 * width, bias=False) for _ in dilations if condition)
        # Without a bias, so that the state before the beginning is zero in every layer, in training and in generation.
        self.residuals = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in dilations[1:])
        self.skips = nn.Linear(width * len(dilations), skip)  # the sum of all S^l z^l is one product
        self.hidden, self.out = nn.Linear(skip, skip), nn.Linear(skip, outputs)

    def forward(self, x: Float[Tensor, "n time_in inputs"], real: Float[Tensor, "m time_in 1"] | None = None,
                given: Float[Tensor, "n time_given condition"] | None = None) -> Float[Tensor, "n time_out outputs"]:  # fmt: skip
        """Outputs for the instants after the first `past`, which are context only.

        `real` is 0 at instants before the beginning, where every layer's state is zero, and 1 elsewhere. `given` has one
        instant for all times, or as many as x. Raises `ConfigError` where there is no instant after the context.
        """
        time = x.shape[1] - self.past
        if time < 1:
            raise ConfigError(f"expected more than {self.past} instants, the past of the network, got {x.shape[1]}")
        h = self.front(x)
        h = h if real is None else h * real
        gated: list[Tensor] = []
        for layer, conv in enumerate(self.gates):
            a = conv(h)
            if given is not None:
                a = a + self.given[layer](given if given.shape[1] == 1 else given[:, -a.shape[1] :])
            f, g = a.chunk(2, 2)
            z = f.tanh() * g.sigmoid()
            gated.append(z[:, -time:])
            if layer < len(self.residuals):
                h = h[:, -z.shape[1] :] + self.residuals[layer](z)
                h = h if real is None else h * real[:, -z.shape[1] :]
        return self.head(torch.cat(gated, 2))

    def head(self, gated: Tensor) -> Tensor:
        """From the gates of all layers side by side, `(..., layers * width)`, to the outputs."""
        return self.out(self.hidden(self.skips(gated).relu()).relu())
