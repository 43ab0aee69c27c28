"""What a decoder's numbers say about data: p(x | z) for numbers, for yes and no, for pixels.

    Gaussian      y ~ N(out, s^2), one learned s, in standardised units; whole numbers are dequantised
    Bernoulli     x = 1 with probability sigmoid(out); greys are made black or white at random first
    logistic      P(x) = sum_k w_k [sigmoid((x + 1/2 - m_k) / s_k) - sigmoid((x - 1/2 - m_k) / s_k)], whose ends keep the tails

Each knows how many numbers `size` it asks for each number of an event, whether it needs uniform numbers to make its `target` from x
(`uniform`), and whether those are noise that the bound averages over (`fresh`) or part of the data (greys). Salimans et al. 2017,
https://arxiv.org/abs/1701.05517 (logistic); Salakhutdinov and Murray 2008, https://doi.org/10.1145/1390156.1390266 (binarisation).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pushforward.core.errors import ConfigError, DataError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import register
from pushforward.core.shapes import as_size, sum_event
from pushforward.parts.data import Images, Table

from .units import Units, log_normal


@register
class GaussianLikelihood(nn.Module):
    """Normal numbers around the decoder's output, with one learned s, in the units of `units`.

    Densities are those of x in its own units; of whole numbers, a bound on probabilities, by uniform noise.

    >>> GaussianLikelihood(Units((2,))).log_prob(torch.zeros(1, 2), torch.zeros(1, 1, 2)).shape
    torch.Size([1])
    """

    size = 1

    def __init__(self, units: Units):
        super().__init__()
        self.units, self.event_shape = units, units.event_shape
        self.uniform = self.fresh = units.whole
        self.reparameterised = not units.whole
        self.log_std = nn.Parameter(torch.tensor(-1.0))

    def target(self, x: Tensor, u: Tensor | None) -> Tensor:
        """x `(n, *event)` standardised; whole numbers are moved by u."""
        whole = x if u is None else x + u * self.units.integer
        return (whole - self.units.loc) / self.units.scale

    def view(self, target: Tensor) -> Tensor:
        """What the encoder sees."""
        return target

    def log_prob(self, target: Tensor, out: Tensor) -> Tensor:
        """log p(x | z), `(n,)`, for the decoder's `(n, 1, *event)`."""
        return sum_event(log_normal(target, out[:, 0], self._log_std())) + self.units.log_det()

    def mean(self, out: Tensor) -> Tensor:
        """E[x | z], `(n, *event)`, in the units of x."""
        return self.units.to_user(out[:, 0])

    def draw(self, out: Tensor, generator: RowGenerator) -> Tensor:
        """A draw from p(x | z)."""
        noise = generator.normal(*self.event_shape, dtype=out.dtype)
        return self.units.to_user(out[:, 0] + self._log_std().exp() * noise)

    def _log_std(self) -> Tensor:
        # No better than 1e-3: a density of repeated numbers would grow without end.
        return self.log_std.clamp(min=-7.0)


@register
class BernoulliLikelihood(nn.Module):
    """Numbers that are `low` or `high`; what lies between is `high` with probability (x - low) / (high - low).

    That is the dynamic binarisation of grey images: in training it is drawn anew at every step, in scores it is a function of the image,
    the same every time. So scores are log probabilities of the black and white image, never of the grey one. Raises `ConfigError` for a
    low that is not below high, `DataError` for numbers outside.

    >>> BernoulliLikelihood((1,), high=255.0).target(torch.tensor([[51.0]]), torch.tensor([[0.1]]))
    tensor([[1.]])
    """

    low: Tensor
    high: Tensor
    size = 1

    def __init__(self, event_shape: Sequence[int], low: Tensor | float = 0.0, high: Tensor | float = 1.0):
        super().__init__()
        self.event_shape = as_size(event_shape)
        self.uniform, self.fresh, self.reparameterised = True, False, False
        low, high = (torch.as_tensor(value, dtype=torch.get_default_dtype()) for value in (low, high))
        if not (low < high).all():
            raise ConfigError("expected low below high at every place, got others; give the two values of each number")
        self.low = nn.Buffer(low.detach().expand(self.event_shape).clone())
        self.high = nn.Buffer(high.detach().expand(self.event_shape).clone())

    def target(self, x: Tensor, u: Tensor | None) -> Tensor:
        """Bits `(n, *event)`: 1 where u is below the share of x; without u, where the share is above 1/2."""
        # On a GPU the check would wait for the device at every step of a training.
        if x.device.type == "cpu" and not ((x >= self.low) & (x <= self.high)).all():
            raise DataError(f"expected numbers from {self.low.min():g} to {self.high.max():g}, which this model tells apart as no and yes, got "
                            f"{x.min():g} to {x.max():g}; rescale them or take another likelihood")  # fmt: skip
        share = (x - self.low) / (self.high - self.low)
        return (share > 0.5 if u is None else u < share).to(x.dtype)

    def view(self, target: Tensor) -> Tensor:
        """-1 and 1."""
        return 2 * target - 1

    def log_prob(self, target: Tensor, out: Tensor) -> Tensor:
        """log P(bits | z), `(n,)`, for logits `(n, 1, *event)`."""
        return sum_event(functional.logsigmoid((2 * target - 1) * out[:, 0]))

    def mean(self, out: Tensor) -> Tensor:
        """The grey that the probability stands for, `(n, *event)`."""
        return self.low + (self.high - self.low) * torch.sigmoid(out[:, 0])

    def draw(self, out: Tensor, generator: RowGenerator) -> Tensor:
        """`low` or `high` at every place."""
        yes = generator.uniform(*self.event_shape, dtype=out.dtype) < torch.sigmoid(out[:, 0])
        return torch.where(yes, self.high, self.low)


@register
class LogisticLikelihood(nn.Module):
    """Pixels 0 .. levels - 1 as a mixture of rounded logistic numbers, each pixel on its own given z; masses sum to 1.

    Raises `ConfigError` for fewer than 2 levels or 1 component.

    >>> masses = LogisticLikelihood((1,), levels=5)
    >>> out = torch.zeros(5, 3, 1)
    >>> round(masses.log_prob(torch.arange(5.0)[:, None], out).exp().sum().item(), 5)
    1.0
    """

    def __init__(self, event_shape: Sequence[int], levels: int, components: int = 1):
        super().__init__()
        if levels < 2 or components < 1:
            raise ConfigError(
                f"expected at least 2 levels and 1 component, got {levels} and {components}; bytes have 256 levels"
            )
        self.event_shape, self.levels, self.components = as_size(event_shape), levels, components
        self.size = 3 * components
        self.uniform = self.fresh = self.reparameterised = False

    def target(self, x: Tensor, u: Tensor | None) -> Tensor:
        """The pixels themselves."""
        return x

    def view(self, target: Tensor) -> Tensor:
        """Pixels in [-1, 1]."""
        return target * (2 / (self.levels - 1)) - 1

    def parameters_of(self, out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log w, m in pixels and log s in pixels, each `(n, components, *event)`, for `(n, 3 components, *event)`."""
        logits, means, log_scales = out.chunk(3, 1)
        half = (self.levels - 1) / 2
        # Components begin apart, or they would stay one.
        start = torch.linspace(-0.5, 0.5, self.components + 2, dtype=out.dtype, device=out.device)[1:-1]
        start = start.reshape(-1, *(1,) * len(self.event_shape)) if self.components > 1 else 0.0
        # s from e^-5 of half the range: narrower than a pixel's cell nothing changes but gradients, which vanish.
        log_s = (log_scales - 1).clamp(min=-5.0, max=3.0) + math.log(half)
        return logits.log_softmax(1), (means + start + 1) * half, log_s

    def log_prob(self, target: Tensor, out: Tensor) -> Tensor:
        """log P(x | z), `(n,)`."""
        log_w, m, log_s = self.parameters_of(out)
        x = target[:, None]
        a, b = (x + 0.5 - m) * torch.exp(-log_s), (x - 0.5 - m) * torch.exp(-log_s)
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - e^(b - a)), with nothing that cancels.
        between = functional.logsigmoid(a) + functional.logsigmoid(-b) + torch.log(-torch.expm1(-torch.exp(-log_s)))
        first, last = x < 0.5, x > self.levels - 1.5
        mass = torch.where(first, functional.logsigmoid(a), torch.where(last, functional.logsigmoid(-b), between))
        return sum_event(torch.logsumexp(log_w + mass, 1))

    def mean(self, out: Tensor) -> Tensor:
        """sum_k w_k m_k, kept in the range: the mean but for rounding and the ends."""
        log_w, m, _ = self.parameters_of(out)
        return (log_w.exp() * m).sum(1).clamp(0, self.levels - 1)

    def draw(self, out: Tensor, generator: RowGenerator) -> Tensor:
        """A pixel from one component, rounded."""
        log_w, m, log_s = self.parameters_of(out)
        which = generator.uniform(1, *self.event_shape, dtype=out.dtype)
        chosen = (log_w.exp().cumsum(1)[:, :-1] < which).sum(1, keepdim=True)
        # Of 53 bits, so that 0 and 1, whose logits are infinite, stay away.
        u = generator.uniform(*self.event_shape, dtype=torch.float64).clamp(min=2.0**-54)
        standard = (u.log() - torch.log1p(-u)).to(out.dtype)
        x = m.gather(1, chosen)[:, 0] + log_s.gather(1, chosen)[:, 0].exp() * standard
        return x.round().clamp(0, self.levels - 1)


Likelihood = GaussianLikelihood | BernoulliLikelihood | LogisticLikelihood


def likelihood_for(data: Images | Table, name: str | None, components: int = 1) -> Likelihood:
    """The likelihood of this name for these data, or the one that suits them.

    Images of two levels and tables of two-valued columns are "bernoulli", other images "logistic", other tables "gaussian". Raises
    `ConfigError` for a name that does not fit.
    """
    two = data.levels == 2 if isinstance(data, Images) else _two_valued(data)
    known = ("gaussian", "bernoulli", "logistic") if isinstance(data, Images) else ("gaussian", "bernoulli")
    name = name or ("bernoulli" if two else known[-1] if isinstance(data, Images) else "gaussian")
    if name not in known or (name == "bernoulli" and isinstance(data, Table) and not two):
        raise ConfigError(f"expected a likelihood among {', '.join(known)} (bernoulli for columns of two values each), got {name!r} for "
                          f"{'images' if isinstance(data, Images) else 'a table'}; leave it out for the one that suits")  # fmt: skip
    if name == "gaussian":
        return GaussianLikelihood(Units.of(data))
    if isinstance(data, Images):
        if name == "logistic":
            return LogisticLikelihood(data.shape, data.levels, components)
        return BernoulliLikelihood(data.shape, 0.0, float(data.levels - 1))
    return BernoulliLikelihood(data.event_shape, data.values.amin(0), data.values.amax(0))


def _two_valued(data: Table) -> bool:
    low, high = data.values.amin(0), data.values.amax(0)
    return bool(((data.values == low) | (data.values == high)).all() and (low < high).all())
