"""Four posteriors of one variational autoencoder on binarised MNIST: `python examples/vae_posteriors.py --minutes 5`.

The experiment of van den Berg et al. 2018 (https://arxiv.org/abs/1803.05649, table 1), who published

    posterior    -ELBO    -log p(x)   nats an image, 64 latents, gated convolutions, some thousand epochs
    none         86.55    82.14
    planar       86.06    81.91
    iaf          84.20    80.79
    sylvester    83.32    80.22

All start alike: the plain autoencoder is fitted for the given minutes, and every posterior goes on from its weights, its flow beginning as
the identity, for as many steps as the first one makes in as many minutes. So what differs is the flow and not how fast it is. Both figures
are of test digits that were binarised once, the second by 500 draws of importance sampling for 500 of them. Needs PUSHFORWARD_DATA.
In time a step costs, relative to the plain one, about 1.3 planar, 1.5 IAF and 3.3 Sylvester.
"""

import argparse
import time

import torch

import pushforward as pf
from pushforward.models.latent.variational_autoencoder import negative_bound

POSTERIORS = ("none", "planar", "iaf", "sylvester")
RATE, BATCH = 1e-3, 128


def main() -> None:
    """Fit, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="for the start, and for the plain one after it")
    parser.add_argument("--posteriors", default=",".join(POSTERIORS), help="which, in which order")
    arguments = parser.parse_args()
    train, test = (pf.data.load("mnist", part=part) for part in ("train", "test"))
    model = build(train, "none")
    steps = fit(model, train, arguments.minutes, None, falling=False)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    x = model.as_seen(test).take(torch.arange(len(test))).x
    print(f"start after {steps:,} steps: -ELBO {score(model, x[:2000], 4):.2f}", flush=True)
    print(f"{'':10}   -ELBO   -log p(x)   minutes", flush=True)
    for posterior in arguments.posteriors.split(","):
        model = build(train, posterior)
        model.load_state_dict(start, strict=False)
        begin = time.perf_counter()
        fit(model, train, None, steps, falling=True)
        minutes = (time.perf_counter() - begin) / 60
        tight = -model.iwae(x[:500], draws=500, generator=torch.Generator().manual_seed(1)).value.mean()
        print(f"{posterior:10}   {score(model, x, 2):5.2f}   {tight:9.2f}   {minutes:7.1f}", flush=True)


def build(train: pf.data.Images, posterior: str) -> pf.latent.VariationalAutoencoder:
    """The same encoder and decoder for every posterior."""
    return pf.latent.vae(train, latents=32, likelihood="bernoulli", posterior=posterior, hidden=(400, 300), seed=0)


def fit(
    model: torch.nn.Module, train: pf.data.Images, minutes: float | None, steps: int | None, *, falling: bool
) -> int:
    """Adam for so long or so many steps; the rate falls to zero over the second half if asked to. Returns the steps."""
    optimiser = torch.optim.Adam(model.parameters(), RATE, fused=True)
    begin, step = time.perf_counter(), 0
    model.train()
    while (gone := step / steps if steps else (time.perf_counter() - begin) / (60 * (minutes or 1))) < 1:
        for group in optimiser.param_groups:
            group["lr"] = RATE * (min(1.0, 2 - 2 * gone) if falling else 1.0)
        rows = torch.randint(len(train), (BATCH,), generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        negative_bound(model, train.take(rows), pf.RowGenerator(step, BATCH)).value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 100.0)
        optimiser.step()
        step += 1
    model.eval()
    return step


def score(model: pf.latent.VariationalAutoencoder, x: torch.Tensor, draws: int) -> float:
    """Minus the bound in nats an image."""
    return -float(model.elbo(x, draws=draws, generator=torch.Generator().manual_seed(0)).value.mean())


if __name__ == "__main__":
    main()
