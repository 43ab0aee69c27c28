"""B15: one network reads digits, scores them, and is asked what is out of distribution."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import COLOURS, MODEL, REAL


def others(digits: torch.Tensor) -> dict[str, torch.Tensor]:
    """Pictures of the same size and pixel values that are not digits as they were drawn."""
    return {"inverted": 16 - digits, "faint": (digits / 3).floor(), "blank": torch.zeros_like(digits[:40])}


def gaussian(axes: Axes) -> None:
    """In many dimensions the mode is likelier than anything that is ever drawn."""
    model = pf.distributions.Gaussian.standard(100)
    x = model.sample(4000, generator=torch.Generator().manual_seed(0))
    dress(axes, title="a Gaussian, 100 numbers", x="log p(x), nats", y="share of rows")
    for scale, label, ink in ((1.0, "draws", REAL), (0.8, "0.8 x draws", MODEL)):
        values = model.log_prob(scale * x).numpy()
        axes.hist(values, bins=30, weights=[1 / 4000] * 4000, alpha=0.55, color=ink, label=label)
    axes.axvline(float(model.log_prob(torch.zeros(100))), color=COLOURS[2], linewidth=1.6, label="the mode")
    axes.set_ylim(0, 0.24)
    legend(axes, "upper left")


def draw() -> Figure:
    """Densities of draws and of the mode; densities of digits and of other pictures; p-values of the typicality test."""
    train, held_out, test = pf.data.load("digits").split((0.6, 0.2, 0.2), seed=0)
    model = pf.flows.hybrid(train, layers=4, hidden=(128,))
    optimiser, generator = torch.optim.Adam(model.parameters(), 2e-3), torch.Generator().manual_seed(0)
    for step in range(250):
        batch = train.take(torch.randint(len(train), (128,), generator=generator))
        loss = model.objective(model, batch, pf.RowGenerator(step, 128)).value
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    model.eval()
    seen = test.take(torch.arange(len(test)))
    accuracy = float((model.predict(seen.x) == seen.condition).double().mean())
    sets = {"test digits": seen.x, **others(seen.x)}
    reference = held_out.take(torch.arange(len(held_out))).x
    found = {name: pf.flows.anomaly_score(model, x, reference) for name, x in sets.items()}
    inks = dict(zip(sets, (REAL, MODEL, *COLOURS[2:])))

    figure = canvas(height=2.9)
    first, left, right = figure.subplots(1, 3)
    gaussian(first)
    dress(left, title=f"digits, {100 * accuracy:.0f} % read right", x="log P(x), nats")
    dress(right, title="typicality of digits", x="p-value", y="share of rows at most this")
    own = found["test digits"]
    low, high = (-own.entropy + k * float(own.surprise.std()) for k in (-9, 5))
    for name, own in found.items():
        values = (-own.surprise).clamp(low, high).numpy()
        left.hist(values, bins=60, range=(low, high), weights=[1 / len(values)] * len(values), histtype="stepfilled",
                  alpha=0.55, color=inks[name], label=name)  # fmt: skip
        ordered = own.p_value.sort().values.numpy()
        right.plot(ordered, [(i + 1) / len(ordered) for i in range(len(ordered))], color=inks[name], linewidth=1.4)
    left.axvline(-own.entropy, color=REAL, linewidth=1, linestyle=":")
    right.plot([0, 1], [0, 1], color="#5b6472", linewidth=0.8, linestyle="--")
    left.set_ylim(0, 0.6)
    legend(left, "upper right")
    return figure
