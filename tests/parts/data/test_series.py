"""`Series`: shapes, gaps, padding, windows, and the sentences about what is wrong."""

import pytest
import torch

from pushforward.core.errors import ConfigError, DataError
from pushforward.lab.training.fit import _rows_of
from pushforward.parts.data import Series
from pushforward.parts.data.series_toys import bidirectional_spirals, damped_oscillator, ornstein_uhlenbeck

NAN = float("nan")


def ragged():
    return Series.ragged(
        [[0.0, 1.0, 3.0], [2.0, 2.5], [0.0, 1.0, 2.0, 5.0]],
        [[[1, NAN], [2, 5], [3, 6]], [[4, 7], [5, NAN]], [[6, 1], [NAN, NAN], [7, 2], [8, 3]]],
        [0, 1, 0],
    )


def test_ragged_rows_are_padded_with_their_last_time_and_nothing_observed():
    series = ragged()
    assert series.t[1].tolist() == [2.0, 2.5, 2.5, 2.5]
    assert series.observed[1].tolist() == [[True, True], [True, False], [False, False], [False, False]]
    assert series.lengths.tolist() == [3, 2, 4]
    assert bool((series.x[~series.observed] == 0).all())
    assert series.channels == 2
    assert series.classes == 2


def test_a_batch_keeps_optional_fields_where_the_loop_cuts_it():
    batch = ragged().take(torch.tensor([2, 0]))
    cut = _rows_of(batch, torch.tensor([1]))
    assert cut.labels.tolist() == [0]
    assert cut.t.tolist() == [[0.0, 1.0, 3.0, 3.0]]
    plain = _rows_of(ragged().unlabelled().take(torch.tensor([0, 1])), torch.tensor([1]))
    assert plain.labels is None
    context = batch.to("cpu").context()
    assert context.x.shape == (2, 4, 1)
    assert context.mask.shape == context.y.shape == (2, 4, 2)


def test_units_are_those_of_the_observed_numbers():
    units = ragged().units()
    first, second = torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8]), torch.tensor([5.0, 6, 7, 1, 2, 3])
    torch.testing.assert_close(units.mean, torch.stack([first.mean(), second.mean()]))
    torch.testing.assert_close(units.std, torch.stack([first.std(correction=0), second.std(correction=0)]))
    assert (units.start, units.end) == (0.0, 5.0)
    assert Series.of([0, 1], torch.full((1, 2), 400.1)).units().std.tolist() == [1.0]


def test_split_keeps_every_row_once_and_the_shares_of_classes():
    series = bidirectional_spirals(200)
    parts = series.split((0.5, 0.25, 0.25), seed=3)
    assert [len(part) for part in parts] == [100, 50, 50]
    assert sorted(float(x) for part in parts for x in part.x[:, 0, 0]) == sorted(series.x[:, 0, 0].tolist())
    shares = [part.labels.double().mean() for part in parts]
    assert max(shares) - min(shares) < 0.03


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 0.99])
def test_dropped_hides_the_share_of_each_row_and_depends_on_the_row_only(fraction):
    series = ornstein_uhlenbeck(20, points=40)
    less = series.dropped(fraction, seed=5)
    assert less.observed.sum((1, 2)).tolist() == [max(1, 40 - round(40 * fraction))] * 20
    assert bool((less.observed <= series.observed).all())
    assert bool((less.x[~less.observed] == 0).all())
    alone = series.rows(torch.arange(7)).dropped(fraction, seed=5)
    assert bool((alone.observed == less.observed[:7]).all())


def test_dropped_leaves_one_instant_of_sparse_rows_and_all_channels_share_it():
    less = ragged().dropped(0.9)
    assert less.observed.any(-1).sum(1).tolist() == [1, 1, 1]
    with pytest.raises(ConfigError, match="share from 0 to below 1"):
        ragged().dropped(1.0)


def test_compact_keeps_the_observations_and_their_times():
    series = ornstein_uhlenbeck(6, points=30).dropped(0.7)
    short = series.compact()
    assert short.t.shape == (6, 9)
    for own, other in zip(range(6), range(6)):
        seen = series.observed[own, :, 0]
        assert short.t[other].tolist() == series.t[own, seen].tolist()
        assert short.x[other, :, 0].tolist() == series.x[own, seen, 0].tolist()


def test_windows_cover_a_record_to_its_end_and_begin_at_zero():
    record = Series.of([0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0], torch.arange(7.0)[None])
    windows = record.windows(3, 2)
    assert windows.x[..., 0].tolist() == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    assert windows.t.tolist() == [[0, 1, 2], [0, 2, 6], [0, 8, 24]]
    assert windows.window == 3
    assert windows.describe()["window"] == 3
    with pytest.raises(DataError, match="at least 8 instants"):
        record.windows(8)
    with pytest.raises(ConfigError, match="stride"):
        record.windows(3, 0)


def test_a_window_without_an_observation_is_left_out():
    record = Series.of(range(9), torch.tensor([[1, 2, 3, NAN, NAN, NAN, 4, 5, 6]]))
    assert record.windows(3, 3).x[..., 0].tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("t", "x", "message"),
    [
        ([], [[]], "none of them empty"),
        ([0, 1], [[NAN, NAN]], "at least one observation in every series, got none in 1 of 1: number 1"),
        ([0, 2, 1], [[1, 2, 3]], "times that go back in series 1: 1 after 2, at instant 3; sort"),
        ([0, 1, 1], [[1, 2, 3]], "the same time twice in series 1: 1 after 1, at instant 3; keep one"),
        ([[0, 1], [3, 3]], [[1, 2], [1, 2]], "the same time twice in series 2"),
        ([0, NAN], [[1, 2]], "got nan at instant 2 of series 1"),
        ([0, 1, 2], [[1, 2]], "expected numbers"),
        ([1.7e9, 1.7e9 + 1], [[1, 2]], "can tell apart.*series 1.*subtract"),
        ([0, 1], [[1, float("inf")]], "finite numbers"),
    ],
)
def test_sentences(t, x, message):
    with pytest.raises(DataError, match=message):
        Series.of(t, x)


def test_sentences_about_labels_names_and_lengths():
    with pytest.raises(DataError, match="whole number from 0 to 1"):
        Series.of([0, 1], torch.ones(2, 2), None, [0, 2], class_names=["a", "b"])
    with pytest.raises(DataError, match="a name for each of 1 channels, got 2"):
        Series.of([0, 1], torch.ones(2, 2), channel_names=["a", "b"])
    with pytest.raises(DataError, match=r"2 times and numbers .* in series 2"):
        Series.ragged([[0, 1], [0, 1]], [[1, 2], [1, 2, 3]])
    with pytest.raises(DataError, match="mask"):
        Series.of([0, 1], torch.ones(2, 2), torch.ones(2, 3))
    with pytest.raises(DataError, match="at least 8 series to fit to, got 3"):
        ragged().require_fittable()
    with pytest.raises(DataError, match="two instants or more"):
        Series.of([0], torch.ones(20, 1)).require_fittable()


def test_a_channel_that_was_never_seen_is_allowed_but_said():
    x = torch.tensor([[[1.0, NAN], [2.0, NAN]]])
    with pytest.warns(UserWarning, match="nothing was ever observed in 'b'"):
        series = Series.of([0, 1], x, channel_names=["a", "b"])
    assert series.never_observed() == ["b"]
    assert series.units().std.tolist()[1] == 1.0


def test_drawn_series_have_the_moments_of_their_formulas():
    """Ornstein-Uhlenbeck: variance sigma^2/(2 theta) everywhere and correlation e^-theta d; standard errors over 4,000 rows."""
    series = ornstein_uhlenbeck(4000, points=20, theta=1.5, sigma=0.8, mean=2.0)
    x, t = series.x[..., 0].double(), series.t.double()
    variance = 0.8**2 / 3
    z = (x - 2) / variance**0.5
    assert abs(float(z.mean(1).mean())) < 4.5 * float(z.mean(1).std()) / 4000**0.5
    square = z.square().mean(1)
    assert abs(float(square.mean()) - 1) < 4.5 * float(square.std()) / 4000**0.5
    product = z[:, 3] * z[:, 9] - (-1.5 * (t[:, 9] - t[:, 3])).exp()
    assert abs(float(product.mean())) < 4.5 * float(product.std()) / 4000**0.5


def test_the_oscillator_obeys_its_equation():
    """scipy integrates x'' = -w^2 x - 2 c x' from the first observed instant, and lands on the others."""
    from scipy.integrate import solve_ivp

    series = damped_oscillator(3, points=15, frequency=3.0, damping=0.4, noise=0.0)
    for t, x in zip(series.t.double().numpy(), series.x.double().numpy()):
        found = solve_ivp(
            lambda _, s: [s[1], -9 * s[0] - 0.8 * s[1]], (t[0], t[-1]), x[0], t_eval=t, rtol=1e-9, atol=1e-10
        )
        assert abs(found.y.T - x).max() < 2e-4


@pytest.mark.parametrize("draw", [bidirectional_spirals, ornstein_uhlenbeck, damped_oscillator])
def test_row_17_does_not_depend_on_how_many_are_drawn(draw):
    few, many = draw(18, seed=3), draw(60, seed=3)
    assert few.x[17].tolist() == many.x[17].tolist()
    assert few.t[17].tolist() == many.t[17].tolist()
    assert bool((few.t[:, 1:] > few.t[:, :-1]).all())
    assert draw(3, seed=4).x.tolist() != draw(3, seed=3).x.tolist()
