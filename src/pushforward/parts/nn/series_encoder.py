"""From the observed points of a series to one vector: a recurrent network that runs backwards in time.

It ends at the time where the latent path begins, so that what it saw last, and knows best, lies nearest to that start.
Chen et al., 2018, https://arxiv.org/abs/1806.07366, section 5; Rubanova et al., 2019, https://arxiv.org/abs/1907.03907.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.core.registry import register

from .gru import SeriesGRU, last_real
from .mlp import MLP
from .ode_rnn import ODERNN

KINDS = ("rnn", "decay", "ode_rnn")


@register
class SeriesEncoder(nn.Module):
    """Times t `(n, points)`, values x `(n, points, channels)` and what is `observed` of them to `(n, outputs)`.

    The order of the points does not matter, and neither does a value that was not observed, nor a point without any; a row
    without points gives what a state of zeros gives. The network knows no absolute time, only the gaps between the points, and
    the last one to time 0, where it ends.

    `kind` is "rnn", a GRU that sees the gaps as numbers beside the values; "decay", whose state also shrinks over them; or
    "ode_rnn", whose state moves by an ODE over them, in `substeps` steps each. `hidden` is the width of the state.

    Raises `ConfigError` for another kind.

    >>> encoder = SeriesEncoder(2, 6, kind="ode_rnn")
    >>> observed = torch.rand(4, 9, 2) < 0.5
    >>> encoder(torch.rand(4, 9), torch.randn(4, 9, 2), observed).shape
    torch.Size([4, 6])
    """

    def __init__(self, channels: int, outputs: int, hidden: int = 32, kind: str = "rnn",
                 field_hidden: Sequence[int] = (64,), head_hidden: Sequence[int] = (64,), substeps: int = 1):  # fmt: skip
        super().__init__()
        if kind not in KINDS:
            raise ConfigError(f"expected an encoder among {', '.join(KINDS)}, got {kind!r}; choose one of these")
        self.channels, self.outputs, self.kind = channels, outputs, kind
        if kind == "ode_rnn":
            self.recurrent: SeriesGRU | ODERNN = ODERNN(2 * channels, hidden, field_hidden, substeps)
        else:
            self.recurrent = SeriesGRU(2 * channels + 2, hidden, kind == "decay")
        self.head = MLP(hidden, outputs, head_hidden, "tanh")

    def forward(self, t: Float[Tensor, "n points"], x: Float[Tensor, "n points channels"],
                observed: Bool[Tensor, "n points channels"]) -> Float[Tensor, "n outputs"]:  # fmt: skip
        """One vector for each row."""
        real = observed.any(-1)
        # The latest point first; what is not real goes to the end.
        order = torch.where(real, -t, torch.inf).argsort(dim=1, stable=True)
        t, real = t.gather(1, order), real.gather(1, order)
        order = order[..., None].expand(x.shape)
        x, observed = x.gather(1, order), observed.gather(1, order)
        t = torch.where(real, t, 0.0)
        before = torch.where(real, torch.cat([t[:, :1], t[:, :-1]], 1) - t, 0.0)
        seen = [torch.where(observed, x, 0.0), observed.to(x.dtype)]
        if self.kind != "ode_rnn":
            after = torch.where(real, t - torch.cat([t[:, 1:], t.new_zeros(len(t), 1)], 1), 0.0)
            seen += [before[..., None], after[..., None]]
        h = last_real(self.recurrent(torch.cat(seen, -1), before, real), real)
        final = torch.where(real, t, torch.inf).amin(1) if t.shape[1] else t.new_full((len(t),), torch.inf)
        return self.head(self.recurrent.evolve(h, torch.where(final.isfinite(), final, 0.0)))
