"""One stream per row: what a row holds depends on the seed and on its number only, and is as random as it should be."""

import itertools
import math

import pytest
import torch
from scipy import stats

from pushforward.core.random import RowGenerator, mix

BUDGET = 1e-5
EVENTS = [(), (3,), (2, 5), (16,), (17,), (4096,), (5000,), (0,)]
DRAWS = {
    "normal": lambda g, event: g.normal(*event),
    "uniform": lambda g, event: g.uniform(*event),
    "rademacher": lambda g, event: g.rademacher(*event),
    "integers": lambda g, event: g.integers(7, *event),
}
draws = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())


def z_is_ordinary(z: float, looks: int = 1) -> bool:
    """Is a standard normal statistic within the false-alarm budget shared by `looks` of them?"""
    return abs(z) < stats.norm.isf(BUDGET / (2 * looks))


@draws
@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_a_row_does_not_depend_on_how_many_are_drawn(draw, event):
    many = draw(RowGenerator(5, 300), event)
    assert many.shape == (300, *event)
    for rows in (0, 1, 18, 257):
        assert torch.equal(draw(RowGenerator(5, rows), event), many[:rows])


@draws
def test_slices_follow_the_whole_through_draws_of_different_events(draw):
    def three(generator):
        return [draw(generator, (3,)), draw(generator, (40, 30)), draw(generator, (3,))]

    whole = three(RowGenerator(9, 600))
    assert not torch.equal(whole[0], whole[2])
    for first, last in [(0, 600), (17, 18), (255, 513), (599, 600), (4, 4)]:
        for part, full in zip(three(RowGenerator(9, 600).slice(first, last)), whole):
            assert torch.equal(part, full[first:last])


def test_a_slice_of_a_slice_counts_from_the_first_row():
    whole = RowGenerator(1, 500).normal(2)
    assert torch.equal(RowGenerator(1, 500).slice(100, 400).slice(50, 60).normal(2), whole[150:160])


def test_a_slice_starts_afresh_whatever_was_drawn_before():
    source = RowGenerator(1, 10)
    first = source.normal(2)
    assert torch.equal(source.slice(2, 5).normal(2), first[2:5])


def test_forks_are_named_distinct_and_commute_with_slices():
    source = RowGenerator(4, 50)
    assert torch.equal(source.fork(1).normal(3), source.fork(1).normal(3))
    assert torch.equal(source.fork(1).slice(10, 20).normal(3), source.slice(10, 20).fork(1).normal(3))
    streams = [RowGenerator(4, 50), source.fork(0), source.fork(1), source.fork(0).fork(1), source.fork(1).fork(0)]
    for a, b in itertools.combinations([s.normal(3) for s in streams], 2):
        assert not (a == b).any()


def test_forks_and_neighbouring_rows_are_uncorrelated():
    n = 20_000
    parent, child = RowGenerator(2, n).normal(), RowGenerator(2, n).fork(0).normal()
    pairs = [(parent, child), (parent[1:], parent[:-1]), (parent[256:], parent[:-256])]
    for a, b in pairs:
        z = (a * b).sum().item() / math.sqrt(len(a))
        assert z_is_ordinary(z, looks=len(pairs))


def test_no_two_rows_of_large_events_share_a_stream():
    # PyTorch's generator on the CPU reads the lower 32 bits of a seed only, and large events have one seed a row.
    source = RowGenerator(1, 1)
    seeds = [source._seeded(1, number).initial_seed() & 0xFFFFFFFF for number in range(100_000)]
    assert len(set(seeds)) == len(seeds)


def test_of_takes_one_draw_from_a_torch_generator():
    torch_generator = torch.Generator().manual_seed(3)
    first, second = (RowGenerator.of(torch_generator, 4) for _ in range(2))
    assert first.seed != second.seed
    assert RowGenerator.of(torch.Generator().manual_seed(3), 9).seed == first.seed
    torch.manual_seed(11)
    from_global = RowGenerator.of(None, 4).seed
    torch.manual_seed(11)
    assert RowGenerator.of(None, 4).seed == from_global


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniform_numbers_are_uniform_and_below_one(dtype):
    u = RowGenerator(8, 200_000).uniform(4, dtype=dtype)
    assert u.dtype == dtype
    assert u.min() >= 0
    assert u.max() < 1
    assert stats.kstest(u[:, 0].numpy(), "uniform").pvalue > BUDGET


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("event", [(), (5,), (40,)], ids=str)
def test_normal_numbers_are_normal(dtype, event):
    x = RowGenerator(8, 20_000).normal(*event, dtype=dtype)
    assert x.dtype == dtype
    assert stats.kstest(x.flatten().numpy()[:20_000], "norm").pvalue > BUDGET
    assert stats.kstest(x.reshape(20_000, -1)[:, -1].numpy(), "norm").pvalue > BUDGET


@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_signs_are_fair(dtype):
    signs = RowGenerator(6, 10_000).rademacher(4, dtype=dtype)
    assert signs.dtype == (dtype or torch.float32)
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert stats.binomtest(int((signs > 0).sum()), signs.numel()).pvalue > BUDGET


@pytest.mark.parametrize("high", [2, 10, 97])
def test_integers_are_fair_and_in_range(high):
    counts = torch.bincount(RowGenerator(6, 20_000).integers(high, 2).flatten(), minlength=high)
    assert len(counts) == high
    assert stats.chisquare(counts.numpy()).pvalue > BUDGET
    assert (RowGenerator(6, 10).integers(1) == 0).all()


def test_mix_tells_every_input_apart():
    words = [mix(a, b) for a in range(300) for b in range(300)]
    assert len(set(words)) == len(words)
    assert mix(1, 2) != mix(2, 1) != mix(2, 1, 0)
    assert all(0 <= word < 1 << 63 for word in [*words, mix(-1), mix(1 << 70), mix(0)])


def test_mix_has_fair_bits_and_flips_half_of_them():
    n, bits = 4000, 63
    words = [mix(7, number) for number in range(n)]
    for bit in range(bits):
        ones = sum(word >> bit & 1 for word in words)
        assert z_is_ordinary((ones - n / 2) / math.sqrt(n / 4), looks=bits)
    for flipped in (0, 5, 31, 60):
        changed = sum((mix(7, number) ^ mix(7, number ^ 1 << flipped)).bit_count() for number in range(0, n))
        assert z_is_ordinary((changed - n * bits / 2) / math.sqrt(n * bits / 4), looks=4)
