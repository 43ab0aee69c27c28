"""NICE on MNIST, fitted by maximum likelihood and by three ways of score matching: `python examples/nice_score_matching.py --minutes 5`.

The experiment of Song, Garg, Shi and Ermon 2019 (https://arxiv.org/abs/1905.07088, table 2), whose figures are

    loss on test images   score matching / log-likelihood, nats an image
    maximum likelihood          -579 /  -791
    sliced, reduced variance   -8054 / -3355
    sliced                     -2428 / -2039
    denoising, sigma 0.1       -3035 / -4363

Who maximises the likelihood has the best likelihood, who matches scores the best scores, and what one gains the other loses. The score
loss of a test image is E_v[v' (ds/dx) v] + 1/2 |s|^2 for random signs v. Both figures are of logits of dequantised pixels, whose scale
(the share `ALPHA` that keeps them finite, and the network) the paper does not give in full, so compare the order, not the digits.
Softplus stands where NICE has ReLU: a score needs a log density whose gradient does not jump. Needs PUSHFORWARD_DATA; each row takes
the given minutes on two CPU cores.
"""

import argparse
import time

import torch
from torch import Tensor

import pushforward as pf

ALPHA, BATCH, WIDTH = 0.05, 128, 512
matching = pf.diffusion.score_matching


def main() -> None:
    """Fit the four, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="for each way to fit")
    minutes = parser.parse_args().minutes
    train, test = (pf.data.load("mnist", part=part).pixels.flatten(1).float() for part in ("train", "test"))
    print(f"{'':24}  score matching   log-likelihood   steps")
    for name, loss in losses().items():
        model = nice(seed=0)
        steps = fit(model, loss, train, minutes)
        fisher, likelihood = evaluate(model, test[:2000])
        print(f"{name:24}  {fisher:14.0f}   {likelihood:14.0f}   {steps:,}", flush=True)


def nice(seed: int) -> pf.distributions.Flow:
    """Four additive couplings of 784 logits, odd and even by turns, and a scale for each."""
    torch.manual_seed(seed)
    parts: list = []
    for layer in range(4):
        mask = [i % 2 == layer % 2 for i in range(784)]
        network = pf.nn.MLP(392, 392, (WIDTH,) * 3, "softplus", zero_last=True)
        parts.append(pf.bijections.Coupling(mask, pf.bijections.AdditiveTransformer(), network))
    base = pf.distributions.Gaussian(torch.zeros(784), torch.ones(784))
    return pf.distributions.Flow(base, pf.bijections.Chain([*parts, pf.bijections.Diagonal(784)]))


def logits(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Pixels 0 .. 255 with uniform noise, drawn into (ALPHA / 2, 1 - ALPHA / 2), as logits."""
    u = (pixels + torch.rand(pixels.shape, generator=generator)) / 256
    return torch.logit(ALPHA / 2 + (1 - ALPHA) * u)


def losses() -> dict:
    """Each a function of the model, its score, the rows and a generator, with a number for each row."""

    def signs(x: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randint(0, 2, x.shape, generator=generator).to(x) * 2 - 1

    return {
        "maximum likelihood": lambda model, score, x, g: -model.log_prob(x),
        "sliced, reduced variance": lambda model, score, x, g: matching.sliced_score_matching_vr(score, x, signs(x, g)),
        "sliced": lambda model, score, x, g: matching.sliced_score_matching(score, x, signs(x, g)),
        "denoising, sigma 0.1": lambda model, score, x, g: matching.denoising_score_matching(
            score, x, torch.randn(x.shape, generator=g), 0.1
        ),
    }


def fit(model: pf.distributions.Flow, loss, train: Tensor, minutes: float) -> int:
    """Adam for so long, the rate falling to zero; returns the number of steps."""
    generator, score = torch.Generator().manual_seed(0), matching.score_of(lambda x: -model.log_prob(x))
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    start, steps = time.perf_counter(), 0
    while (gone := (time.perf_counter() - start) / (60 * minutes)) < 1:
        rows = torch.randint(len(train), (BATCH,), generator=generator)
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * (1 - gone)
        optimiser.zero_grad()
        loss(model, score, logits(train[rows], generator), generator).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1e3)
        optimiser.step()
        steps += 1
    return steps


def evaluate(model: pf.distributions.Flow, test: Tensor) -> tuple[float, float]:
    """The score-matching loss and the log-likelihood of these images, in nats an image."""
    generator, score = torch.Generator().manual_seed(1), matching.score_of(lambda x: -model.log_prob(x))
    x = logits(test, generator)
    v = torch.randint(0, 2, x.shape, generator=generator).to(x) * 2 - 1
    fisher = torch.cat(
        [matching.sliced_score_matching_vr(score, a, b).detach() for a, b in zip(x.split(500), v.split(500))]
    )
    with torch.no_grad():
        return float(fisher.mean()), float(model.log_prob(x).mean())


if __name__ == "__main__":
    main()
