"""The same coupling flow in several libraries, and where each keeps the weights of its conditioners."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import FrEIA.framework
import FrEIA.modules
import nflows.distributions
import nflows.flows
import nflows.transforms
import normflows
import torch
import zuko
from torch import Tensor, nn
from torchflows.bijections.base import BijectiveComposition
from torchflows.bijections.finite.autoregressive.conditioning.coupling_masks import Coupling
from torchflows.bijections.finite.autoregressive.layers import AffineCoupling
from torchflows.flows import Flow as TorchFlow
from zuko.flows.coupling import GeneralCouplingTransform
from zuko.transforms import MonotonicAffineTransform, MonotonicRQSTransform

import pushforward as pf

from .harness import OURS

FEATURES, BATCH, HIDDEN, LAYERS, BINS, BOUND = 16, 1024, 128, 8, 8, 5.0
LEAST = 1e-3  # smallest bin, and smallest slope, where a library has one
ZUKO_LIMIT = -math.log(1e-3)


@dataclass(frozen=True)
class Party:
    """A library's model, and how to write weights into it.

    `map` takes `(n, 16)` to (value, log abs det) in the direction in which the couplings' formula is written: v exp(s) + t,
    or the spline evaluated. `conditioners` are the linear layers of every coupling in the order in which `map` applies them.
    `raw` solves the library's formula for its parameters; `arrange` lays parameters `(features, size, ...)` out as the head
    of a conditioner has them, `(features * size, ...)`.
    """

    name: str
    model: nn.Module
    log_prob: Callable[[Tensor], Tensor]
    sample: Callable[[int], Tensor]
    map: Callable[[Tensor], tuple[Tensor, Tensor]]
    conditioners: Sequence[Sequence[nn.Linear]]
    raw: Callable[..., Tensor]
    arrange: Callable[[Tensor], Tensor]


def by_feature(rows: Tensor) -> Tensor:
    """All parameters of the first feature, then those of the second."""
    return rows.flatten(0, 1)


def by_parameter(rows: Tensor) -> Tensor:
    """The first parameter of all features, then the second."""
    return rows.transpose(0, 1).flatten(0, 1)


# --- ours ---


def ours(flow: pf.Flow, *, affine: bool) -> tuple[Party, list[list[bool]]]:
    """Our flow, and which features pass in each coupling, in the order of `map`."""
    couplings = [part for part in flow.bijection.modules() if isinstance(part, pf.bijections.Coupling)]
    if not affine:
        couplings.reverse()  # a spline is evaluated from data to noise
    party = Party(
        OURS, flow, flow.log_prob, flow.sample,
        flow.bijection.forward if affine else flow.bijection.inverse,
        [[*c.conditioner.hidden, c.conditioner.head.linear] for c in couplings],
        (lambda s: 3 * torch.atanh(s / 3)) if affine else _our_knots, by_parameter,
    )  # fmt: skip
    return party, [[i in c.passing for i in range(FEATURES)] for c in couplings]


def _our_knots(widths: Tensor, heights: Tensor, slopes: Tensor) -> Tensor:
    limit = math.log(1e3)
    return torch.cat([limit * torch.atanh(slopes.log() / limit), _logits(widths), _logits(heights)], -1)


def _logits(shares: Tensor) -> Tensor:
    return ((shares - LEAST) / (1 - LEAST * BINS)).log()


# --- zuko ---


def zuko_party(passing: Sequence[Sequence[bool]], *, affine: bool) -> Party:
    """`GeneralCouplingTransform`s; `Flow` maps data to noise."""
    spline = {"univariate": MonotonicRQSTransform, "shapes": [(BINS,), (BINS,), (BINS - 1,)]}
    kind = {"univariate": MonotonicAffineTransform, "shapes": [(), ()]} if affine else spline
    layers = [
        GeneralCouplingTransform(FEATURES, mask=torch.tensor(p), hidden_features=(HIDDEN, HIDDEN), **kind)
        for p in passing
    ]
    base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(FEATURES), torch.ones(FEATURES), buffer=True
    )
    flow = zuko.flows.Flow(layers, base)
    return Party(
        "zuko", flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)),
        lambda v: flow.transform().call_and_ladj(v), [_linears(layer) for layer in layers],
        (lambda s: s / (1 - s.abs() / ZUKO_LIMIT)) if affine else _zuko_knots, by_feature,
    )  # fmt: skip


def _zuko_knots(widths: Tensor, heights: Tensor, slopes: Tensor) -> Tensor:
    def solve(value: Tensor, limit: float) -> Tensor:
        return value / (1 - value.abs() / limit)

    half = ZUKO_LIMIT / 2
    return torch.cat([solve(widths.log(), half), solve(heights.log(), half), solve(slopes.log(), ZUKO_LIMIT)], -1)


# --- nflows ---


class _Conditioner(nn.Sequential):
    """A plain perceptron; nflows and normflows divide the logits of a spline by the root of `hidden_features`."""

    hidden_features = HIDDEN

    def __init__(self, inputs: int, outputs: int):
        super().__init__(
            nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs)
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Evaluate; there is no context here."""
        return super().forward(x)


def nflows_party(passing: Sequence[Sequence[bool]], *, affine: bool) -> Party:
    """Coupling transforms; `Flow` maps data to noise."""
    masks = [torch.tensor(p).logical_not().long() for p in passing]  # 1 where a feature is mapped
    transforms = nflows.transforms
    if affine:
        layers = [transforms.AffineCouplingTransform(mask, _Conditioner) for mask in masks]
    else:
        spline = transforms.PiecewiseRationalQuadraticCouplingTransform
        layers = [spline(mask, _Conditioner, num_bins=BINS, tails="linear", tail_bound=BOUND) for mask in masks]
    whole = transforms.CompositeTransform(layers)
    flow = nflows.flows.Flow(whole, nflows.distributions.StandardNormal([FEATURES]))
    return Party(
        "nflows", flow, flow.log_prob, flow.sample, whole.forward, [_linears(layer) for layer in layers],
        (lambda s: torch.logit(s.exp() - LEAST) - 2) if affine else _softplus_knots,
        by_parameter if affine else by_feature,
    )  # fmt: skip


def _softplus_knots(widths: Tensor, heights: Tensor, slopes: Tensor) -> Tensor:
    return torch.cat(
        [_logits(widths) * HIDDEN**0.5, _logits(heights) * HIDDEN**0.5, torch.expm1(slopes - LEAST).log()], -1
    )


# --- normflows ---


def normflows_party(passing: Sequence[Sequence[bool]], *, affine: bool) -> Party:
    """Affine or spline couplings; the flows map noise to data."""
    base = normflows.distributions.DiagGaussian(FEATURES, trainable=False)
    return _normflows_affine(base, passing) if affine else _normflows_spline(base, passing)


def _normflows_affine(base: nn.Module, passing: Sequence[Sequence[bool]]) -> Party:
    """Its affine coupling lets the first half pass; a permutation between couplings brings the next half there."""
    half = FEATURES // 2
    orders = [sorted(range(FEATURES), key=lambda i, p=p: not p[i]) for p in passing]  # the passing features first
    nets = [normflows.nets.MLP([half, HIDDEN, HIDDEN, FEATURES]) for _ in passing]
    layers = [normflows.flows.AffineCouplingBlock(nets[0])]
    for net, order, following in zip(nets[1:], orders, orders[1:]):
        permute = normflows.flows.Permute(FEATURES, mode="shuffle")
        permute.perm.copy_(torch.tensor([order.index(i) for i in following]))
        permute.inv_perm.copy_(permute.perm.argsort())
        layers += [permute, normflows.flows.AffineCouplingBlock(net)]
    flow = normflows.NormalizingFlow(base, layers)
    first, last = torch.tensor(orders[0]), torch.tensor(orders[-1])

    def map_(v: Tensor) -> tuple[Tensor, Tensor]:
        value, log_det = flow.forward_and_log_det(v[:, first])
        return value[:, last.argsort()], log_det

    return Party(
        "normflows",
        flow,
        flow.log_prob,
        lambda n: flow.sample(n)[0],
        map_,
        [_linears(net) for net in nets],
        lambda s: s,
        by_feature,
    )


def _normflows_spline(base: nn.Module, passing: Sequence[Sequence[bool]]) -> Party:
    layers = []
    for p in passing:
        layer = normflows.flows.CoupledRationalQuadraticSpline(FEATURES, 1, HIDDEN, num_bins=BINS, tail_bound=BOUND)
        inside = normflows.flows.neural_spline.coupling.PiecewiseRationalQuadraticCoupling
        # The class that the wrapper holds, with the conditioner that the others have in place of a residual network.
        layer.prqct = inside(
            torch.tensor(p).logical_not().long(), _Conditioner, num_bins=BINS, tails="linear", tail_bound=BOUND
        )
        layers.append(layer)
    flow = normflows.NormalizingFlow(base, layers[::-1])
    return Party(
        "normflows", flow, flow.log_prob, lambda n: flow.sample(n)[0], flow.inverse_and_log_det,
        [_linears(layer) for layer in layers], _softplus_knots, by_feature,
    )  # fmt: skip


def _linears(module: nn.Module) -> list[nn.Linear]:
    return [part for part in module.modules() if isinstance(part, nn.Linear | zuko.nn.Linear)]


# --- torchflows ---


def torchflows_party(passing: Sequence[Sequence[bool]]) -> Party:
    """Affine couplings alone, without the normalisation of its own RealNVP; `Flow` maps data to noise."""
    settings = {"n_layers": 3, "n_hidden": HIDDEN, "nonlinearity": nn.ReLU}
    layers = [
        AffineCoupling((FEATURES,), coupling=Coupling((FEATURES,), torch.tensor(p)), conditioner_kwargs=settings)
        for p in passing
    ]
    flow, least = TorchFlow(BijectiveComposition(layers)), layers[0].transformer.m
    return Party(
        "torchflows", flow, flow.log_prob, lambda n: flow.sample(n, no_grad=True), flow.bijection.forward,
        [_linears(layer) for layer in layers],
        lambda s: 2 * ((s.exp() - least).log() - math.log(1 - least)), lambda rows: by_feature(rows.flip(1)),
    )  # fmt: skip


# --- FrEIA ---


def freia_party(passing: Sequence[Sequence[bool]]) -> Party:
    """`AffineCouplingOneSided`, which lets the first half pass, with permutations between; data to noise."""
    half = FEATURES // 2
    orders = [sorted(range(FEATURES), key=lambda i, p=p: not p[i]) for p in passing]  # the passing features first
    inn = FrEIA.framework.SequenceINN(FEATURES)
    for i, order in enumerate(orders):
        if i:
            inn.append(FrEIA.modules.PermuteRandom)
            inn[-1].perm.copy_(torch.tensor([orders[i - 1].index(j) for j in order]))
            inn[-1].perm_inv.copy_(inn[-1].perm.argsort())
        inn.append(FrEIA.modules.AffineCouplingOneSided, subnet_constructor=_Conditioner)
    assert inn[0].split_len1 == half
    reach = 0.636 * inn[0].clamp  # s = clamp * 0.636 atan(a)
    first, last = torch.tensor(orders[0]), torch.tensor(orders[-1])

    def map_(v: Tensor) -> tuple[Tensor, Tensor]:
        value, log_det = inn(v[:, first])
        return value[:, last.argsort()], log_det

    def log_prob(x: Tensor) -> Tensor:
        z, log_det = inn(x)
        return log_det - 0.5 * (z.square().sum(1) + FEATURES * math.log(2 * math.pi))

    return Party(
        "FrEIA", inn, log_prob, lambda n: inn(torch.randn(n, FEATURES), rev=True)[0], map_,
        [_linears(layer) for layer in inn if isinstance(layer, FrEIA.modules.AffineCouplingOneSided)],
        lambda s: torch.tan(s / reach), lambda rows: by_parameter(rows.flip(1)),
    )  # fmt: skip


# --- all of them ---


def affine_parties() -> list[Party]:
    """RealNVP, six times."""
    torch.manual_seed(0)
    flow = pf.flows.realnvp(features=FEATURES, layers=LAYERS, hidden=(HIDDEN, HIDDEN))
    party, passing = ours(flow, affine=True)
    others = [make(passing, affine=True) for make in (zuko_party, normflows_party, nflows_party)]
    return [party, *others, torchflows_party(passing), freia_party(passing)]


def spline_parties() -> list[Party]:
    """The neural spline flow, four times."""
    torch.manual_seed(0)
    flow = pf.flows.neural_spline(features=FEATURES, layers=LAYERS, hidden=(HIDDEN, HIDDEN), bins=BINS, bound=BOUND)
    party, passing = ours(flow, affine=False)
    return [party, *(make(passing, affine=False) for make in (zuko_party, normflows_party, nflows_party))]
