"""B14: bytes that automatic differentiation keeps alive, against the number of layers."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import MODEL, MUTED

ROWS, DEPTHS = 512, (4, 8, 16, 32, 64)


def most_kept(layers: int, memory: str) -> float:
    """Most megabytes alive at one time, parameters apart."""
    flow, now, most = pf.flows.realnvp(features=16, layers=layers, hidden=(32, 32), memory=memory), 0, 0
    parameters = {p.data_ptr() for p in flow.parameters()}

    class Kept:
        def __init__(self, tensor: torch.Tensor):
            nonlocal now, most
            self.tensor, self.bytes = tensor, tensor.numel() * tensor.element_size()
            now += self.bytes
            most = max(most, now)

        def __del__(self) -> None:
            nonlocal now
            now -= self.bytes

    def pack(tensor: torch.Tensor) -> object:
        return tensor if tensor.data_ptr() in parameters else Kept(tensor)

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: getattr(kept, "tensor", kept)):
        (-flow.log_prob(torch.zeros(ROWS, 16)).mean()).backward()
    return most / 2**20


def draw() -> Figure:
    """Two curves."""
    figure = canvas(height=2.6)
    axes = dress(
        figure.add_subplot(), title=f"kept for the backward pass of {ROWS:,} rows", x="coupling layers", y="MiB"
    )
    for memory, colour in (("ordinary", MUTED), ("reversible", MODEL)):
        axes.plot(DEPTHS, [most_kept(layers, memory) for layers in DEPTHS], "o-", color=colour, label=memory)
    axes.set_ylim(0)
    legend(axes, "upper left")
    return figure
