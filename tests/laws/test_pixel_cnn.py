"""C2, PixelCNN: it sees what comes before and all of it, its masses sum to 1, and draws remembered are draws computed anew.

Oracles: enumeration of all images, automatic differentiation, the chain rule over enumerated images, a loop without memory.
"""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError
from pushforward.core.random import RowGenerator
from pushforward.models.autoregressive import PixelCNN, pixel_cnn
from pushforward.parts.data import Images
from pushforward.parts.nn import PixelWalk

BUDGET = 1e-5


def model(shape=(1, 3, 3), levels: int = 2, *, scale: float = 2.5, width: int = 6, **options) -> PixelCNN:
    made = pixel_cnn(event_shape=shape, levels=levels, width=width, blocks=2, kernel=3, **options).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(scale)
    return made


def everything(made: PixelCNN) -> Tensor:
    """Every image."""
    rows = itertools.product(range(made.levels), repeat=made.event_shape.numel())
    return torch.tensor(list(rows), dtype=torch.float64).reshape(-1, *made.event_shape)


@pytest.mark.parametrize(
    "options",
    [
        {"shape": (1, 3, 3)},
        {"shape": (1, 2, 2), "levels": 3},
        {"shape": (1, 2, 2), "levels": 3, "outputs": "logistic_mixture"},
        {"shape": (3, 1, 2), "levels": 3},
        {"shape": (3, 1, 2), "levels": 3, "outputs": "logistic_mixture"},
    ],
    ids=["black and white", "softmax", "mixture", "colours by masks", "colours by coupling"],
)
def test_the_masses_of_all_images_sum_to_one(options):
    made = model(**options)
    assert made.log_prob(everything(made)).exp().sum().item() == pytest.approx(1, abs=1e-10)


def test_the_masses_of_all_images_sum_to_one_in_every_class():
    made = model((1, 2, 3), classes=3)
    mass = torch.stack([made.log_prob(everything(made), torch.tensor(k)).exp() for k in range(3)])
    assert mass.sum(1).tolist() == pytest.approx([1] * 3, abs=1e-10)
    assert min((mass[i] - mass[j]).abs().sum() for i, j in ((0, 1), (0, 2), (1, 2))) > 1e-2


def slopes(made: PixelCNN) -> Tensor:  # of a wide network, in which not all units of a group are off at once
    """|d parameters of element i / d element j| `(places, places)`, places in raster order, channels of a pixel together."""
    torch.manual_seed(0)
    total = torch.zeros(made.event_shape.numel(), made.event_shape.numel(), dtype=torch.float64)
    condition = torch.zeros(1) if made.classes else None
    for _ in range(3):
        x = (torch.rand(1, *made.event_shape, dtype=torch.float64) * made.top).requires_grad_()
        out = made.predictions(x, condition)[0]  # (height, width, groups, size)
        rows = (out * torch.randn(out.shape[-1], dtype=torch.float64)).sum(-1).flatten()
        got = [torch.autograd.grad(row, x, retain_graph=True)[0][0].movedim(0, -1).flatten() for row in rows]
        total[: len(got)] += torch.stack(got).abs()
    return total[: len(got)]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_element_reads_every_element_before_it_and_no_other(channels):
    seen = slopes(model((channels, 4, 5), levels=4, scale=1.5, width=24, classes=2))
    places = seen.shape[0]
    before = torch.ones(places, places).tril(-1).bool()
    assert (seen[~before] == 0).all()
    # Up to `reach` columns and rows away, here 5, nothing before is out of sight: no blind spot, and colours in their order.
    assert (seen[before] > 0).all()


def test_a_pixel_of_a_coupled_mixture_reads_every_pixel_before_it_and_no_other():
    made = model((3, 3, 4), levels=40, outputs="logistic_mixture", scale=1.5, width=24)
    seen = slopes(made).reshape(12, 12, 3)
    before = torch.ones(12, 12).tril(-1).bool()
    assert (seen[~before] == 0).all()
    assert (seen[before] > 0).all()


def test_what_is_out_of_reach_is_out_of_sight_and_what_is_in_reach_is_not():
    made = model((1, 7, 14), scale=1.5, width=24)
    reach, (_, height, width) = made.network.reach, made.event_shape
    seen = slopes(made).reshape(height, width, height, width)
    for r, c, s, d in itertools.product(range(height), range(width), repeat=2):
        before = s < r or (s == r and d < c)
        near = r - s <= reach and abs(c - d) <= reach
        if not (before and near):
            assert seen[r, c, s, d] == 0
        # A row above, every column in reach is seen: to the upper right too, where a single masked stack is blind.
        if r - s == 1 and near:
            assert seen[r, c, s, d] > 0


@pytest.mark.parametrize(
    "options",
    [
        {"shape": (1, 5, 6), "classes": 2},
        {"shape": (3, 3, 4), "levels": 5},
        {"shape": (3, 3, 4), "levels": 60, "outputs": "logistic_mixture"},
    ],
    ids=["black and white by class", "colours by masks", "colours by coupling"],
)
def test_memory_gives_the_draws_of_the_loop_that_evaluates_all(options):
    made = model(scale=1.5, **options)
    condition = torch.arange(4) % 2 if made.classes else None
    shape = () if made.classes else 4
    fast, slow = (
        made.sample(shape, condition, generator=torch.Generator().manual_seed(3), temperature=0.8, cached=own)
        for own in (True, False)
    )
    assert (fast == slow).all()
    assert (fast.std(0) > 0).any()
    # The parameters along the way, in float32.
    made.float()
    y = fast.float()
    given = made._given(condition)
    walk = PixelWalk(made.network, 4, (y.shape[2], y.shape[3]), given)
    with torch.no_grad():
        whole = made.network(2 * y / made.top - 1, given)
    for r in range(y.shape[2]):
        walk.begin_row(r)
        for c in range(y.shape[3]):
            walk.put(r, c, 2 * y[:, :, r, c] / made.top - 1)
            torch.testing.assert_close(walk.parameters(c), whole[:, :, r, c], rtol=1e-5, atol=1e-5)


def test_draws_are_as_frequent_as_probable():
    made = model((1, 2, 2), levels=3)
    images = everything(made)
    expected = made.log_prob(images).exp().detach().numpy() * 4000
    drawn = made.sample(4000, generator=torch.Generator().manual_seed(1)).flatten(1)
    place = (drawn @ (3.0 ** torch.arange(3, -1, -1, dtype=torch.float64))).long()
    counts = torch.bincount(place, minlength=81).numpy()
    often = expected >= 5
    got, wanted = (np.append(v[often], v[~often].sum()) for v in (counts, expected))
    assert stats.chisquare(got, wanted * got.sum() / wanted.sum()).pvalue > BUDGET


def test_a_completion_keeps_the_known_pixels_and_is_drawn_from_the_conditional():
    made = model((1, 3, 3))
    images = everything(made)
    image, mask = torch.zeros(1, 3, 3), torch.zeros(1, 3, 3, dtype=torch.bool)
    image[0, 0] = torch.tensor([1.0, 0.0, 1.0])
    mask[0, :2] = True
    drawn = made.sample(4000, given=(image, mask), generator=torch.Generator().manual_seed(2))
    assert (drawn[:, mask] == image[mask]).all()
    agree = (images[:, mask] == image[mask]).all(1)
    mass = made.log_prob(images[agree]).exp().detach()
    expected = (mass / mass.sum()).numpy() * 4000
    place = (drawn[:, 0, 2] @ torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64)).long()
    counts = np.bincount(place.numpy(), minlength=8)
    often = expected >= 5
    got, wanted = (np.append(v[often], v[~often].sum()) for v in (counts, expected))
    keep = wanted > 0
    assert stats.chisquare(got[keep], wanted[keep] * got.sum() / wanted.sum()).pvalue > BUDGET
    # Anywhere else: what is known stays, and memory changes nothing.
    scattered = torch.rand(5, 1, 3, 3, generator=torch.Generator().manual_seed(0)) < 0.5
    fast, slow = (
        made.sample(5, given=(image, scattered), generator=torch.Generator().manual_seed(4), cached=own)
        for own in (True, False)
    )
    assert (fast == slow).all()
    assert (fast == image)[scattered].all()


def test_black_and_white_is_a_fair_draw_of_the_greys():
    made = model((1, 4, 4), levels=11, binarise="fixed")
    x = torch.randint(0, 11, (2000, 1, 4, 4), generator=torch.Generator().manual_seed(0)).double()
    for u in (None, RowGenerator(0, 2000).uniform(1, 4, 4, dtype=torch.float64)):
        white = made.bits(x, u)
        counts = [(white[x == grey].sum().item(), int((x == grey).sum())) for grey in range(11)]
        assert all(stats.binomtest(int(k), n, g / 10).pvalue > BUDGET / 11 for g, (k, n) in enumerate(counts))
    assert (made.bits(x) == made.bits(x.flip(0)).flip(0)).all()  # a function of the image, wherever it stands
    seen = made.as_seen(Images.of(x.numpy().astype(np.uint8), levels=11))
    assert (seen.pixels.double() == 10 * made.bits(x)).all()
    assert torch.equal(made.log_prob(x), made.log_prob(seen.pixels.double()))
    anew = model((1, 4, 4), levels=11, binarise="dynamic").train()
    losses = [anew.objective(anew, Batch(x), RowGenerator(seed, 2000)).value.item() for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_mistakes_are_said_in_one_sentence():
    with pytest.raises(ConfigError, match="bernoulli for 2 levels alone"):
        pixel_cnn(event_shape=(1, 2, 2), levels=5, outputs="bernoulli")
    with pytest.raises(ConfigError, match="odd kernel"):
        pixel_cnn(event_shape=(1, 2, 2), levels=5, kernel=4)
