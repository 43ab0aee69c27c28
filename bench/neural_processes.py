"""A training step of neural processes against `neuralprocesses` with PyTorch: conditional, attentive, convolutional, latent.

16 functions, a context of 25 points, 50 targets; networks of the same sizes, with numbers of parameters that
agree within 3 %. Checked first: the parameters; and that both losses are the scipy log density of what each predicts, per target.
"""

from collections.abc import Callable
from typing import Any

import lab.torch  # noqa: F401  (lets neuralprocesses work on tensors of PyTorch)
import neuralprocesses.torch as nps
import numpy as np
import torch
from scipy import stats
from torch import Tensor

import pushforward as pf

from .harness import Agreement, Report, compare

PEER = "neuralprocesses"
FUNCTIONS, GIVEN, POINTS, WIDTH, LATENTS = 16, 25, 50, 128, 64
NOTES = (
    "float32. A step is the loss per target point, its gradient to all weights and a step of Adam; the same for both. Ours is `fit`'s Adam, fused.",
    "neuralprocesses has a mask for convolutions over sets but none for its deep set and attention, so both get contexts of one size, 25 points, without "
    "padding; ours applies its mask all the same.",
    "Attention: of 6 ms, 3.4 are its four linear layers. PyTorch's fused attention took as long, one batched product with the mask added a sixth less; the mask is "
    "now added to the scores once, which is as fast.",
    "Most of a convolutional step, 10 of 15 ms of processor time, is the products of four convolutions, which are the same for both: there the ratio "
    "has a ceiling. Convolutions in two dimensions with channels last took as long as these; windows and one product of matrices 1.7 to 2 times as long.",
    "neuralprocesses computes the likelihood in float64 unless told otherwise; here it is told `dtype_lik=float32`, the same precision as ours.",
    "Convolutional: both on a grid of 16 cells a unit from -2 to 2 with a margin of 0.5, 5 convolutions of width 5 and 64 channels, and a linear layer.",
    "Latent: the evidence lower bound with one draw; both encode context and all points. Its network from the set to the latent vector is a layer deeper, "
    "our decoder is: as many parameters, more work for us.",
)  # fmt: skip


def run(rounds: int = 20) -> Report:
    """One comparison for each kind."""
    report = Report("neural_processes", "Neural processes", packages=("neuralprocesses",), notes=list(NOTES))
    torch.manual_seed(0)
    x, y = 4 * torch.rand(FUNCTIONS, 2 * POINTS, 1) - 2, torch.randn(FUNCTIONS, 2 * POINTS, 1)
    context = pf.Context.of(x[:, :GIVEN], y[:, :GIVEN])
    at, value = x[:, -POINTS:], y[:, -POINTS:]
    for name, (ours, theirs) in _pairs().items():
        latent = name == "latent"
        with torch.no_grad():  # the peer makes its weights when it is first called
            _peer_loss(theirs, context, at, value, latent)
        checks = _checks(name, ours, theirs, context, at, value)
        report.comparisons.append(
            compare(f"{name}, training step",
                    _step(ours, lambda m=ours, latent=latent: _our_loss(m, context, at, value, latent)),
                    {PEER: _step(theirs, lambda m=theirs, latent=latent: _peer_loss(m, context, at, value, latent))},
                    check=lambda checks=checks: checks, repeats=rounds)
        )  # fmt: skip
    return report


def _pairs() -> dict[str, tuple[Any, Any]]:
    """Ours and theirs, of the same layers."""
    p = pf.processes
    common = {"dim_x": 1, "dim_y": 1, "likelihood": "het"}
    sets = {**common, "dim_embedding": WIDTH, "num_enc_layers": 3, "num_dec_layers": 3, "width": WIDTH}
    return {
        "conditional": (
            p.ConditionalNeuralProcess(hidden=WIDTH, representation=WIDTH, layers=3, activation="relu"),
            nps.construct_gnp(**sets),
        ),
        "attentive": (
            p.AttentiveNeuralProcess(hidden=WIDTH, heads=8, layers=2, activation="relu"),
            nps.construct_agnp(**{**sets, "num_enc_layers": 2, "num_dec_layers": 2}, num_heads=8),
        ),
        "convolutional": (
            p.ConvolutionalNeuralProcess(points_per_unit=16.0, margin=0.5, channels=64, layers=5),
            nps.construct_convgnp(**common, points_per_unit=16, margin=0.5, conv_arch="conv", conv_channels=64,
                                  conv_layers=6, conv_receptive_field=25 / 16),
        ),
        "latent": (
            p.NeuralProcess(hidden=WIDTH, latents=LATENTS, path="mean", layers=2, activation="relu"),
            nps.construct_gnp(**{**sets, "num_enc_layers": 2, "num_dec_layers": 1}, dim_lv=LATENTS),
        ),
    }  # fmt: skip


def _our_loss(model: Any, context: pf.Context, at: Tensor, value: Tensor, latent: bool) -> Tensor:
    if latent:
        q_all = pf.Context(
            *(torch.cat(pair, 1) for pair in ((context.x, at), (context.y, value))), mask=_all(context, at)
        )
        q, prior = model.posterior(q_all), model.posterior(context)
        z = (q.mean + q.stddev * torch.randn_like(q.mean))[:, None]
        likelihood = model.decode(z, context, at).log_prob(value[:, None]).mean(1)
        return -(likelihood - torch.distributions.kl_divergence(q, prior).sum(-1)).mean() / POINTS
    return -model.predict(context, at).log_prob(value).mean() / POINTS


def _all(context: pf.Context, at: Tensor) -> Tensor:
    return torch.cat([context.mask, torch.ones(at.shape[:2], dtype=torch.bool)], 1)


def _peer_loss(model: Any, context: pf.Context, at: Tensor, value: Tensor, latent: bool) -> Tensor:
    x, y = (v.transpose(1, 2) for v in (context.x, context.y))
    task = x, y, at.transpose(1, 2), value.transpose(1, 2)
    settings = {"normalise": True, "dtype_lik": torch.float32}
    if latent:
        return -nps.elbo(model, *task, num_samples=1, **settings).mean()
    return -nps.loglik(model, *task, **settings).mean()


def _checks(name: str, ours: Any, theirs: Any, context: pf.Context, at: Tensor, value: Tensor) -> list[Agreement]:
    sizes = [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]
    checks = [
        Agreement(
            PEER, f"share of parameters more or less, {sizes[0]:,} and {sizes[1]:,}", sizes[0] / sizes[1] - 1, 0.03
        )
    ]
    if name == "latent":
        return checks
    with torch.no_grad():
        own = ours.predict(context, at)
        x, y = (v.transpose(1, 2) for v in (context.x, context.y))
        mean, variance, _, _ = nps.predict(theirs, x, y, at.transpose(1, 2), dtype_lik=torch.float32)
        for who, m, s, loss in (
            ("ours", own.mean, own.stddev, _our_loss(ours, context, at, value, False)),
            (
                "theirs",
                mean.transpose(1, 2),
                variance.sqrt().transpose(1, 2),
                _peer_loss(theirs, context, at, value, False),
            ),
        ):
            density = stats.norm(m.numpy().astype(np.float64), s.numpy().astype(np.float64)).logpdf(value.numpy())
            checks.append(Agreement(PEER, f"the loss and scipy's density, {who}", float(loss) + density.sum((1, 2)).mean() / POINTS, 1e-3))  # fmt: skip
    return checks


def _step(model: Any, loss: Callable[[], Tensor]) -> Callable[[], object]:
    """A training step that leaves the weights where they are: a rate of 0 costs as much as any other."""
    optimiser = torch.optim.Adam(model.parameters(), 0.0, fused=True)

    def call() -> None:
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()

    return call
