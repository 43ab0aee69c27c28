import pytest
import torch

from pushforward.core.errors import ConfigError, DataError
from pushforward.parts.data import split_rows


@pytest.mark.parametrize("count", [3, 10, 997])
def test_every_row_is_in_one_part(count):
    parts = split_rows(count, (0.4, 0.3, 0.3), seed=1)
    assert torch.cat(parts).sort().values.tolist() == list(range(count))
    for part, fraction in zip(parts, (0.4, 0.3, 0.3)):
        assert abs(len(part) - fraction * count) <= 1


def test_the_division_is_the_same_for_ever():
    """Written down once; PCG64 and integer arithmetic give these on every machine."""
    first, second = split_rows(12, (0.75, 0.25), seed=7)
    assert first.tolist() == [3, 11, 4, 9, 0, 2, 7, 5, 1]
    assert second.tolist() == [6, 10, 8]


def test_seeds_differ_and_parts_are_shuffled():
    first, other = split_rows(1000, (0.9, 0.1), seed=0)[0], split_rows(1000, (0.9, 0.1), seed=1)[0]
    assert not torch.equal(first, other)
    assert not torch.equal(first, first.sort().values)


def test_each_part_has_each_class_in_proportion():
    labels = torch.arange(1000) % 7 % 3  # classes of unequal size
    fractions = (0.8, 0.1, 0.1)
    for part, fraction in zip(split_rows(1000, fractions, seed=2, labels=labels), fractions):
        counts = labels[part].bincount(minlength=3)
        assert (counts - fraction * labels.bincount()).abs().max() <= 2
        runs = (labels[part].diff() != 0).sum()
        assert runs > len(part) / 4  # shuffled, not in order of class


def test_rows_of_a_class_are_chosen_at_random():
    labels = torch.arange(400) // 200
    chosen = torch.zeros(400)
    for seed in range(200):
        chosen[split_rows(400, (0.5, 0.5), seed=seed, labels=labels)[0]] += 1
    # Binomial(200, 1/2) for each row: 6 standard deviations for 400 rows.
    assert (chosen - 100).abs().max() < 6 * 50**0.5


def test_what_cannot_be_divided():
    with pytest.raises(ConfigError, match="sum to 1"):
        split_rows(10, (0.8, 0.1))
    with pytest.raises(ConfigError, match="positive"):
        split_rows(10, (1.5, -0.5))
    with pytest.raises(ConfigError, match="seed of zero or more"):
        split_rows(10, (0.5, 0.5), seed=-1)
    with pytest.raises(DataError, match=r"got 3, which leaves part 2 empty"):
        split_rows(3, (0.9, 0.1))
