"""C3, WaveNet: it hears its past and nothing else, draws with queues what it draws without, and its masses sum to 1.

Oracles: automatic differentiation, enumeration of all clips, the slope of the companding law, a loop without queues.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from pushforward.core.random import RowGenerator
from pushforward.models.autoregressive import AmplitudeLevels, WaveNet, wavenet
from pushforward.parts.data import Audio
from pushforward.parts.distributions.outputs import Categorical, LogisticMixture
from pushforward.parts.nn import CausalConv, WaveQueue, WaveStack

BUDGET = 1e-5


def model(
    levels: int = 3, length: int = 3, *, mixture: bool = False, dilations=(1, 2), scale: float = 2.0, **more
) -> WaveNet:
    torch.manual_seed(0)
    output = LogisticMixture(2, levels) if mixture else Categorical(levels)
    law = AmplitudeLevels(levels, 0.0 if mixture else 255.0)
    made = WaveNet(length, law, output, width=6, skip=6, dilations=dilations, **more).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(scale)
    return made


def clips(made: WaveNet, samples: int) -> Tensor:
    """Every clip of `samples` samples."""
    rows = itertools.product(range(made.levels.levels), repeat=samples)
    return made.levels.decode(torch.tensor(list(rows), dtype=torch.float64))


@pytest.mark.parametrize("mixture", [False, True], ids=["softmax", "logistic mixture"])
def test_the_masses_of_all_clips_sum_to_one_for_every_condition(mixture):
    plain, given = model(mixture=mixture), model(mixture=mixture, classes=2)
    for samples in (1, 3):  # of any length, the first sample included
        assert plain.log_prob(clips(plain, samples)).exp().sum().item() == pytest.approx(1, abs=1e-12)
    by_class = [given.log_prob(clips(given, 3), torch.tensor(k)).exp() for k in range(2)]
    assert [own.sum().item() for own in by_class] == pytest.approx([1, 1], abs=1e-12)
    assert (by_class[0] - by_class[1]).abs().max() > 1e-3


def slopes(made: WaveNet, condition: Tensor | None = None) -> Tensor:
    """|d parameters_t / d level_s|, (t, s), summed over the parameters' absolute slopes."""
    levels = (torch.rand(1, made.event_shape[0], dtype=torch.float64) * (made.levels.levels - 1)).requires_grad_()
    out = made.predictions(levels, condition)[0]
    direction = torch.randn(out.shape[1], dtype=torch.float64)
    return torch.stack([torch.autograd.grad(row @ direction, levels, retain_graph=True)[0][0].abs() for row in out])


@pytest.mark.parametrize("dilations", [(1, 2, 4), (1, 2, 1, 2)], ids=str)
def test_each_sample_hears_the_receptive_field_before_it_and_nothing_else(dilations):
    made = model(16, 24, dilations=dilations, scale=1.0)
    heard = slopes(made) > 0
    t, s = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    expected = (s < t) & (s >= t - made.receptive_field)
    assert torch.equal(heard, expected)
    assert made.receptive_field == 1 + sum(dilations)


def test_a_local_condition_is_heard_at_its_own_time_and_before():
    made = model(8, 12, features=2, hop=3)
    assert made.condition_shape == (4, 2)
    c = torch.randn(1, 4, 2, dtype=torch.float64, requires_grad=True)
    levels = torch.zeros(1, 12, dtype=torch.float64)
    out = made.predictions(levels, c)[0].sum(1)
    heard = torch.stack([torch.autograd.grad(own, c, retain_graph=True)[0][0].abs().sum(1) > 0 for own in out])
    t, frame = torch.arange(12)[:, None], torch.arange(4)
    first, last = frame * 3, frame * 3 + 2
    # Instant t hears frames of the instants t - 2 .. t: the first gates hear c at their own time, then come dilations of 2.
    assert torch.equal(heard, (first <= t) & (last >= t - 2))


@pytest.mark.parametrize("condition", ["none", "class", "features"])
@pytest.mark.parametrize("mixture", [False, True], ids=["softmax", "logistic mixture"])
def test_queues_draw_what_the_loop_without_them_draws(condition, mixture):
    more = {"class": {"classes": 3}, "features": {"features": 2, "hop": 4}}.get(condition, {})
    made = model(32, 21, mixture=mixture, dilations=(1, 2, 4, 1, 2), **more)
    given = {
        "class": torch.arange(4) % 3, "features": torch.randn(4, 6, 2, dtype=torch.float64),
    }.get(condition)  # fmt: skip
    prefix = made.levels.decode(torch.randint(0, 32, (5,)).double())
    for known in (None, prefix):
        fast, slow = (
            made.sample(
                4 if given is None else (), given, generator=torch.Generator().manual_seed(3), given=known, cached=own
            )
            for own in (True, False)
        )
        assert torch.equal(fast, slow)
        assert known is None or torch.equal(fast[:, :5], known.expand(4, 5))
    # What the queues' draws are scored is what the whole clip at once says: far from uniform, and not by another model.
    assert made.log_prob(fast, given).std() > 0


def test_queues_in_torch_and_in_numpy_are_the_stack():
    torch.manual_seed(1)
    stack = WaveStack(2, 5, width=6, skip=7, dilations=[1, 2, 4], condition=3).double()
    x, c = torch.randn(3, 7 + 12, 2, dtype=torch.float64), torch.randn(3, 1, 3, dtype=torch.float64)
    for numpy in (True, False):  # an accelerator takes the way of torch
        queue = WaveQueue(stack, 3, c[:, 0])
        queue.arrays = queue.arrays if numpy else None
        outputs = torch.stack([queue.step(x[:, t]) for t in range(19)], 1)
        torch.testing.assert_close(outputs[:, 7:], stack(x, None, c), rtol=1e-10, atol=1e-12)


def test_draws_have_the_frequencies_of_the_masses():
    made = model()
    n = 4000
    x = made.sample(n, generator=torch.Generator().manual_seed(4))
    code = (made.levels.encode(x) @ torch.tensor([9.0, 3.0, 1.0]).double()).long()
    expected = n * made.log_prob(clips(made, 3)).exp().detach()
    keep = expected > 5
    seen = torch.bincount(code, minlength=27).double()
    pooled = [torch.cat([own[keep], own[~keep].sum()[None]]) if (~keep).any() else own for own in (seen, expected)]
    assert stats.chisquare(pooled[0].numpy(), pooled[1].numpy() * n / pooled[1].sum().item()).pvalue > BUDGET


def test_a_window_is_scored_as_the_whole_clip_scores_it():
    made = model(16, 40, window=8)
    x = made.levels.decode(torch.randint(0, 16, (6, 40)).double())
    x[1, 30:], x[2, 5:] = torch.nan, torch.nan
    data = type("Rows", (), {"x": x, "condition": None})()
    each = made.each(x)
    generator = RowGenerator(7, 6)
    ends = (~x.isnan()).sum(1)
    starts = (RowGenerator(7, 6).uniform(dtype=torch.float64) * ((ends - 8).clamp(min=0) + 1)).long()
    expected = torch.cat([each[i, s : min(s + 8, int(ends[i]))] for i, s in enumerate(starts.tolist())])
    assert made.objective(made, data, generator).value.item() == pytest.approx(-expected.mean().item(), rel=1e-12)


def test_what_comes_after_the_end_changes_nothing():
    made = model(16, 12)
    x = made.levels.decode(torch.randint(0, 16, (2, 7)).double())
    padded = torch.cat([x, torch.full((2, 5), torch.nan, dtype=torch.float64)], 1)
    torch.testing.assert_close(made.log_prob(padded), made.log_prob(x), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("levels", "mu"), [(256, 255.0), (16, 15.0), (65536, 0.0)])
def test_levels_there_and_back_are_within_half_a_step(levels, mu):
    law = AmplitudeLevels(levels, mu)
    every = torch.arange(levels, dtype=torch.float32)
    assert torch.equal(law.encode(law.decode(every)), every)
    x = torch.linspace(-1, 1, 4001, dtype=torch.float64)[: -1 if mu == 0 else None]
    error = (law.decode(law.encode(x)) - x).abs()
    if mu == 0:
        assert error.max() <= 1 / levels
        return
    # |dx / dy| = ln(1 + mu) (1 + mu |x|) / mu, and a half step of y is 1 / (levels - 1), along which it grows.
    half = math.log1p(mu) / (levels - 1)
    assert (error <= math.expm1(half) * (1 + mu * x.abs()) / mu + 1e-12).all()
    assert error.max() > 0.4 * half * (1 + mu) / mu  # and the bound is not idle


def test_the_score_is_of_cells_so_no_jacobian_belongs_to_it():
    made = model(256, 8, scale=1.0)
    x = torch.rand(3, 8, dtype=torch.float64) * 2 - 1
    cell = made.levels.decode(made.levels.encode(x))
    torch.testing.assert_close(made.log_prob(x), made.log_prob(cell), rtol=0, atol=0)
    sixteen = wavenet(length=8, outputs="logistic_mixture", layers=2, stacks=1, width=4, skip=4)
    whole = torch.randint(-32768, 32768, (2, 8)).float() / 32768
    assert torch.equal(sixteen.levels.decode(sixteen.levels.encode(whole)), whole)  # 16-bit numbers are the levels


def test_the_convolution_is_torchs():
    torch.manual_seed(0)
    ours = CausalConv(3, 5, dilation=4, taps=3)
    theirs = torch.nn.Conv1d(3, 5, 3, dilation=4)
    with torch.no_grad():
        theirs.weight.copy_(ours.linear.weight.unflatten(1, (3, 3)).mT)
        theirs.bias.copy_(ours.linear.bias)
    x = torch.randn(2, 20, 3)
    torch.testing.assert_close(ours(x), theirs(x.mT).mT, rtol=1e-5, atol=1e-6)
    assert ours.past == 8


def test_a_stack_hears_zero_states_before_the_beginning():
    # Zeros before the first instant in every layer are the padding of ordinary causal convolutions.
    torch.manual_seed(0)
    stack = WaveStack(2, 3, width=4, skip=4, dilations=[1, 2, 4])
    x = torch.randn(2, 9, 2)
    padded = torch.nn.functional.pad(x, (0, 0, stack.past, 0))
    real = (torch.arange(-stack.past, 9) >= 0).float()[None, :, None]
    h, gated = stack.front(x), []
    for i, conv in enumerate(stack.gates):
        f, g = conv(torch.nn.functional.pad(h, (0, 0, conv.past, 0))).chunk(2, 2)
        gated.append(f.tanh() * g.sigmoid())
        h = h + stack.residuals[i](gated[-1]) if i < 2 else h
    torch.testing.assert_close(stack(padded, real), stack.head(torch.cat(gated, 2)), rtol=1e-5, atol=1e-6)


def test_a_tone_is_learned_to_far_less_than_a_histogram_takes():
    from pushforward.lab.training import Settings, fit

    t = torch.arange(100) / 2000
    phase = torch.rand(40, 1, generator=torch.Generator().manual_seed(0))
    waves = 0.8 * (2 * np.pi * (200 * t + phase)).sin()
    data = Audio.of(list(waves.numpy()), rate=2000)
    made = wavenet(data, layers=4, stacks=1, width=16, skip=32, window=100)
    settings = Settings(batch_size=16, learning_rate=1e-2, bar=False, ema_decay=0.9, warmup=10)
    fit(made, data, steps=80, settings=settings, device="cpu")
    x = data.take(torch.arange(40)).x
    levels = made.levels.encode(x).long()
    count = torch.bincount(levels.flatten(), minlength=256).double()
    histogram = -(count[levels] / count.sum()).log2().mean().item()
    with torch.no_grad():
        bits = -made.log_prob(x).sum().item() / x.numel() / math.log(2)
    assert bits < histogram - 1
