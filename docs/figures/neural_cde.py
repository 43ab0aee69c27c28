"""D6: four paths through the same gappy points, and what a classifier loses when points are dropped."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.core.random import RowGenerator
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS
from pushforward.parts.diffeq.interpolation import hermite, linear, natural_cubic, rectilinear

PATHS = (("natural", natural_cubic), ("hermite", hermite), ("linear", linear), ("rectilinear", rectilinear))
SHARES = (0.0, 0.3, 0.5, 0.7)


def turning(n: int, seed: int) -> pf.data.Series:
    """Points that run round a circle with noise, one way or the other, seen at 24 irregular instants."""
    random = torch.Generator().manual_seed(seed)
    t = torch.rand(n, 24, generator=random).sort(1).values
    labels = torch.arange(n) % 2
    angle = 5 * t * (2 * labels[:, None] - 1) + 6.3 * torch.rand(n, 1, generator=random)
    x = torch.stack([angle.cos(), angle.sin()], -1) + 0.3 * torch.randn(n, 24, 2, generator=random)
    return pf.data.Series.of(t, x, labels=labels)


def accuracy(share: float) -> float:
    """Of held-out series, in per cent, when this share of the instants is dropped in training and in testing."""
    train, test = turning(96, 0).dropped(share).compact(), turning(500, 1).dropped(share).compact()
    model = pf.dynamics.neural_cde(train, hidden=8, width=16, layers=1, interpolation="linear")
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    batch = train.take(torch.arange(len(train)))
    for step in range(80):
        loss = model.objective(model, batch, RowGenerator(step, len(train))).value
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        answer = model(test.take(torch.arange(len(test)))).argmax(1)
    return 100 * float((answer == test.labels).double().mean())


def draw() -> Figure:
    """Left: the paths; open circles were not observed. Right: accuracy against the share of instants dropped."""
    figure = canvas(height=3.6)
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    t = torch.tensor([0.0, 1.0, 1.6, 2.6, 3.2, 4.4, 5.0, 6.0])
    x = torch.tensor([0.2, 1.1, 0.4, 0.9, -0.5, -0.2, 0.8, 0.5])
    observed = torch.tensor([True, True, True, False, True, False, True, True])
    fine = torch.linspace(0, 6, 1201)
    dress(left, title="four paths through the same points", x="t", y="X(t), shifted")
    for row, (name, kind) in enumerate(PATHS):
        path = kind(t, x[None, :, None], observed[None, :, None])
        shift = -2.2 * row
        left.plot(fine.numpy(), path.evaluate(fine[None])[0, :, 0].numpy() + shift, color=COLOURS[row], label=name)
        left.plot(t[observed].numpy(), x[observed].numpy() + shift, "o", color=COLOURS[row], markersize=4)
        left.plot(t[~observed].numpy(), x[~observed].numpy() + shift, "o", color=COLOURS[row], markersize=4, fillstyle="none")  # fmt: skip
        left.text(6.15, float(x[-1]) + shift, name, color=COLOURS[row], va="center", fontsize=8)
    left.set_xlim(-0.2, 7.4)
    left.set_yticks([])
    dress(right, title="which way does it turn?", x="instants dropped (%)", y="held-out accuracy (%)")
    found = [accuracy(share) for share in SHARES]
    right.plot([100 * share for share in SHARES], found, "o-", color=COLOURS[1], label="neural CDE")
    right.axhline(50, color="0.6", linestyle="--", linewidth=1, label="a coin")
    right.set_ylim(45, 101)
    legend(right, "lower left")
    return figure
