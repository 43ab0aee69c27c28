"""The same masked autoregressive flow in four libraries, and where each keeps weights, masks and orders.

Hidden units carry degrees: a unit of degree m reads the first m features. Libraries spread the degrees over the units
differently, so weights are given for as many units of each degree as every library has; the few left over get zeros.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import nflows.distributions
import nflows.flows
import nflows.transforms
import normflows
import torch
import zuko
from nflows.transforms.made import MADE
from normflows.flows.affine.autoregressive import MaskedAffineAutoregressive
from normflows.flows.base import Reverse
from normflows.flows.neural_spline.autoregressive import MaskedPiecewiseRationalQuadraticAutoregressive
from torch import Tensor, nn
from zuko.flows.autoregressive import MaskedAutoregressiveTransform
from zuko.transforms import MonotonicAffineTransform, MonotonicRQSTransform

import pushforward as pf

from ._flow_parties import LEAST, ZUKO_LIMIT, _logits, _our_knots, _zuko_knots, by_feature, by_parameter
from .harness import OURS

HIDDEN, LAYERS, BINS, BOUND = 128, 5, 8, 5.0
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class MaskedParty:
    """A library's model, both directions of its map, and its conditioners in the order data -> noise.

    `places[layer]` says at which place of the layer's order each input of its network stands. `raw` solves the library's
    formula for its parameters, and `arrange` lays parameters `(features, size, ...)` out as the last layer has them.
    """

    name: str
    model: nn.Module
    log_prob: Callable[[Tensor], Tensor]
    sample: Callable[[int], Tensor]
    to_noise: Callable[[Tensor], Pair]
    to_data: Callable[[Tensor], Pair]
    conditioners: Sequence[Sequence[nn.Module]]
    places: Sequence[Tensor]
    raw: Callable[..., Tensor]
    arrange: Callable[[Tensor], Tensor]
    shifts_data: bool = False  # x = z exp(s) + t, where the others have z = x exp(-s) - t exp(-s)


def parties(features: int, *, affine: bool) -> list[MaskedParty]:
    """The flow four times, ours first."""
    torch.manual_seed(0)
    sizes = {"features": features, "layers": LAYERS, "hidden": (HIDDEN, HIDDEN)}
    flow = (
        pf.flows.maf(**sizes)
        if affine
        else pf.flows.neural_spline(**sizes, kind="autoregressive", bins=BINS, bound=BOUND)
    )
    parts = [part for part in flow.bijection.modules() if isinstance(part, pf.bijections.MaskedAutoregressive)][::-1]
    orders = [torch.tensor(part.conditioner.order) for part in parts]
    ours = MaskedParty(
        OURS, flow, flow.log_prob, flow.sample, flow.bijection.inverse, flow.bijection.forward,
        [part.conditioner.linears() for part in parts], [order.argsort() for order in orders],
        (lambda s: 3 * torch.atanh(s / 3)) if affine else _our_knots, by_parameter, shifts_data=True,
    )  # fmt: skip
    return [ours, *(make(features, orders, affine) for make in (_zuko, _nflows, _normflows))]


def _zuko(features: int, orders: Sequence[Tensor], affine: bool) -> MaskedParty:
    spline = {"univariate": MonotonicRQSTransform, "shapes": [(BINS,), (BINS,), (BINS - 1,)]}
    kind = {"univariate": MonotonicAffineTransform, "shapes": [(), ()]} if affine else spline
    layers = [
        MaskedAutoregressiveTransform(features, order=order.argsort(), hidden_features=(HIDDEN, HIDDEN), **kind)
        for order in orders
    ]
    base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(features), torch.ones(features), buffer=True
    )
    flow = zuko.flows.Flow(layers, base)
    return MaskedParty(
        "zuko", flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)),
        lambda x: flow.transform().call_and_ladj(x), lambda z: flow.transform().inv.call_and_ladj(z),
        [_masked(layer) for layer in layers], [order.argsort() for order in orders],
        (lambda u: u / (1 - u.abs() / ZUKO_LIMIT)) if affine else _zuko_knots, by_feature,
    )  # fmt: skip


def _nflows(features: int, orders: Sequence[Tensor], affine: bool) -> MaskedParty:
    transforms, network = nflows.transforms, {"num_blocks": 1, "use_residual_blocks": False}
    if affine:
        layers = [transforms.MaskedAffineAutoregressiveTransform(features, HIDDEN, **network) for _ in orders]
    else:
        spline = transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform
        layers = [spline(features, HIDDEN, num_bins=BINS, tails="linear", tail_bound=BOUND, **network) for _ in orders]
    stack = [layers[0]]
    for layer, (before, after) in zip(layers[1:], pairwise(orders)):
        stack += [transforms.Permutation(before.argsort()[after]), layer]
    whole = transforms.CompositeTransform(stack)
    flow = nflows.flows.Flow(whole, nflows.distributions.StandardNormal([features]))
    return MaskedParty(
        "nflows", flow, flow.log_prob, flow.sample,
        lambda x: _unsorted(whole.forward(x[:, orders[0]]), orders[-1]),
        lambda z: _unsorted(whole.inverse(z[:, orders[-1]]), orders[0]),
        [_masked(layer) for layer in layers], [torch.arange(features)] * len(orders),
        (lambda u: torch.expm1(u.exp() - LEAST).log()) if affine else _plain_knots,
        (lambda rows: by_feature(rows.flip(1))) if affine else by_feature,
    )  # fmt: skip


def _normflows(features: int, orders: Sequence[Tensor], affine: bool) -> MaskedParty:
    """Its transforms, turned so that densities are the one-pass direction, with the feed-forward MADE of nflows inside.

    Its own MADE has residual blocks, and no activation after the first layer where it has none.
    """
    layers, stack = [], []
    for i in range(len(orders)):
        size = 2 if affine else 3 * BINS - 1
        made = MADE(features, HIDDEN, num_blocks=1, output_multiplier=size, use_residual_blocks=False)
        if affine:
            inside = MaskedAffineAutoregressive(features, HIDDEN)
        else:
            inside = MaskedPiecewiseRationalQuadraticAutoregressive(
                features, HIDDEN, num_bins=BINS, tails="linear", tail_bound=BOUND
            )
        inside.autoregressive_net = made
        if i:
            permute = normflows.flows.Permute(features, mode="shuffle")
            # `inverse`, data to noise, applies `inv_perm`.
            permute.inv_perm.copy_(orders[i - 1].argsort()[orders[i]])
            permute.perm.copy_(permute.inv_perm.argsort())
            stack.append(permute)
        layers.append(inside)
        stack.append(Reverse(inside))
    base = normflows.distributions.DiagGaussian(features, trainable=False)
    flow = normflows.NormalizingFlow(base, stack[::-1])
    return MaskedParty(
        "normflows", flow, flow.log_prob, lambda n: flow.sample(n)[0],
        lambda x: _unsorted(flow.inverse_and_log_det(x[:, orders[0]]), orders[-1]),
        lambda z: _unsorted(flow.forward_and_log_det(z[:, orders[-1]]), orders[0]),
        [_masked(layer) for layer in layers], [torch.arange(features)] * len(orders),
        (lambda u: torch.logit(u.exp() - LEAST) - 2) if affine else _plain_knots,
        (lambda rows: by_feature(rows.flip(1))) if affine else by_feature,
    )  # fmt: skip


def _plain_knots(widths: Tensor, heights: Tensor, slopes: Tensor) -> Tensor:
    return torch.cat([_logits(widths), _logits(heights), torch.expm1(slopes - LEAST).log()], -1)


def _unsorted(found: Pair, order: Tensor) -> Pair:
    return found[0][:, order.argsort()], found[1]


def _masked(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if hasattr(part, "mask") and hasattr(part, "weight")]


# --- the same weights everywhere ---


@dataclass(frozen=True)
class Weights:
    """Weights of one conditioner by degree of the units and place of the features: two hidden layers, then t and s.

    Every array is already zero where the order forbids a weight.
    """

    first: Pair
    second: Pair
    t: Pair
    s: Tensor

    @classmethod
    def draw(cls, features: int, random: torch.Generator) -> "Weights":
        """Random ones, in double precision, for as many units of each degree as all libraries have."""
        degrees = torch.arange(1, features).repeat_interleave(HIDDEN // (features - 1))
        place = torch.arange(features)

        def masked(sees: Tensor) -> Pair:
            weight = torch.randn(sees.shape, generator=random, dtype=torch.float64) * sees
            bias = torch.randn(len(sees), generator=random, dtype=torch.float64) / 10
            return weight / sees.sum(1, keepdim=True).clamp(min=1).sqrt(), bias

        s = 0.05 + 0.3 * torch.rand(features, generator=random, dtype=torch.float64)  # normflows cannot scale z up
        return cls(masked(degrees[:, None] > place), masked(degrees[:, None] >= degrees),
                   masked(place[:, None] >= degrees), s)  # fmt: skip


def fill(party: MaskedParty, layer: int, weights: Weights) -> None:
    """Write x = z exp(s) + t, with t the network and s constants, into a layer of a library."""
    linears, place = party.conditioners[layer], party.places[layer]
    reads = torch.eye(len(place), dtype=torch.float64)
    units = []
    for linear in linears[:2]:
        reads = (linear.mask.double() @ reads > 0).double()
        units.append(_units(reads.sum(1).long(), len(place)))
    (w0, b0), (w1, b1), (wt, bt) = weights.first, weights.second, weights.t
    _embed(linears[0], w0[:, place], b0, units[0], torch.arange(len(place)))
    _embed(linears[1], w1, b1, units[1], units[0])
    wt, bt, s = wt[place], bt[place], weights.s[place]
    if not party.shifts_data:
        wt, bt, s = -wt * (-s).exp()[:, None], -bt * (-s).exp(), -s
    rows = torch.stack([wt, torch.zeros_like(wt)], 1)
    bias = party.arrange(torch.stack([bt, party.raw(s)], 1))
    _embed(linears[2], party.arrange(rows), bias, torch.arange(len(bias)), units[1])


def fill_knots(party: MaskedParty, layer: int, widths: Tensor, heights: Tensor, slopes: Tensor) -> None:
    """Constant knots `(features, ...)`, by place in the order."""
    head, place = party.conditioners[layer][-1], party.places[layer]
    raw = party.raw(widths[place], heights[place], slopes[place])
    nn.init.zeros_(head.weight)
    head.bias.copy_(party.arrange(raw))


def _units(degree: Tensor, features: int) -> Tensor:
    """The first units of each degree, sorted by degree."""
    count = HIDDEN // (features - 1)
    return torch.cat([(degree == d).nonzero()[:count, 0] for d in range(1, features)])


def _embed(linear: nn.Module, weight: Tensor, bias: Tensor, outputs: Tensor, inputs: Tensor) -> None:
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    linear.weight[outputs[:, None], inputs] = weight
    linear.bias[outputs] = bias
    kept = (linear.weight * linear.mask.to(linear.weight)).ne(0).sum()
    assert int(kept) == int(linear.weight.ne(0).sum()), "a mask took a weight away"
    assert math.isfinite(float(linear.bias.sum())), "a formula has no solution"
