"""A3: the loss falls to the entropy, and what is above it is the divergence to the best Gaussian."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.lab.plots import canvas, dress, legend
from pushforward.lab.plots.style import INK, MODEL, MUTED, REAL


def draw() -> Figure:
    """Fit a Gaussian to numbers that are not Gaussian, by plain gradient descent."""
    x = torch.distributions.Gamma(3.0, 1.0).sample((5000, 1))
    model = pf.distributions.Gaussian(torch.tensor([-2.0]), torch.tensor([1.0]), learn=True)
    adam, losses, stages = torch.optim.Adam(model.parameters(), lr=0.1), [], {}
    for step in range(201):
        loss = model.objective(model, Batch(x), pf.RowGenerator(step, len(x))).value
        losses.append(loss.item())
        if step in (0, 20, 200):
            grid = torch.linspace(-5, 12, 400)[:, None]
            stages[step] = model.log_prob(grid).exp().detach()
        adam.zero_grad()
        loss.backward()
        adam.step()
    entropy = torch.distributions.Normal(x.mean(), x.std(correction=0)).entropy().item()
    figure = canvas(height=2.8)
    left, right = figure.subplots(1, 2)
    dress(left, title="the model on its way", x="x", y="density")
    left.hist(x[:, 0].numpy(), bins=60, range=(-5, 12), density=True, color=REAL, alpha=0.35, label="data")
    for (step, density), opacity in zip(stages.items(), (0.35, 0.6, 1.0)):
        left.plot(grid[:, 0].numpy(), density.numpy(), color=MODEL, alpha=opacity, label=f"step {step}")
    legend(left)
    dress(right, title="mean negative log-likelihood", x="step", y="nats")
    right.plot(losses, color=MODEL, linewidth=1.4)
    right.axhline(entropy, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
    right.text(
        200,
        entropy - 0.15,
        "entropy of the Gaussian with the data's moments",
        va="top",
        ha="right",
        fontsize=8,
        color=MUTED,
    )
    right.set_ylim(entropy - 1, 8)
    return figure
