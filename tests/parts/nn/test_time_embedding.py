"""Times are told apart, smoothly; labels have one row more than there are classes."""

import pytest
import torch

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.parts.nn.time_embedding import TimeEmbedding


def test_waves_are_geometric_from_one_to_the_highest():
    frequencies = TimeEmbedding(8, highest=1000.0).frequencies
    torch.testing.assert_close(frequencies, torch.tensor([1.0, 10.0, 100.0, 1000.0]))


def test_times_in_the_unit_interval_are_told_apart():
    """The nearest two of 1,001 times must differ most clearly from their neighbours: the distance grows from zero."""
    embedding = TimeEmbedding(32)
    t = torch.linspace(0, 1, 1001)
    waves = torch.cat([(t[:, None] * embedding.frequencies).cos(), (t[:, None] * embedding.frequencies).sin()], 1)
    distance = torch.cdist(waves, waves) + 10 * torch.eye(1001)
    nearest = distance.argmin(1) - torch.arange(1001)
    assert (nearest.abs() == 1).all()


def test_no_labels_are_the_row_after_the_last():
    embedding = TimeEmbedding(16, classes=3)
    t = torch.rand(4)
    torch.testing.assert_close(embedding(t), embedding(t, torch.full((4,), 3)))
    assert not torch.allclose(embedding(t), embedding(t, torch.zeros(4, dtype=torch.long)))
    torch.testing.assert_close(embedding(t, torch.tensor([0, 1, 2, 3])), embedding(t, torch.tensor([0, 1, 2, 3]).int()))


@pytest.mark.parametrize("labels", [torch.zeros(4), torch.zeros(4, 1).long(), torch.zeros(3).long()])
def test_labels_of_another_kind_are_refused(labels):
    with pytest.raises(ShapeError, match="expected whole-number labels"):
        TimeEmbedding(16, classes=3)(torch.rand(4), labels)


def test_labels_without_classes_are_refused():
    with pytest.raises(ShapeError, match="expected no labels"):
        TimeEmbedding(16)(torch.rand(4), torch.zeros(4).long())


@pytest.mark.parametrize("width", [2, 7])
def test_odd_widths_are_refused(width):
    with pytest.raises(ConfigError, match="even embedding width"):
        TimeEmbedding(width)
