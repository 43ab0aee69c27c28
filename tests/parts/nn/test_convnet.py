"""The judge: right shapes, rows on their own, and real digits recognised after a few seconds."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from pushforward.core.errors import ShapeError
from pushforward.parts.nn.convnet import ConvClassifier


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (8, 8), (7, 9), (28, 28), (28, 5)])
def test_any_size(size):
    net = ConvClassifier(3, size, classes=5, width=8)
    x = torch.randn(4, 3, *size)
    logits = net(x)
    assert logits.shape == (4, 5)
    torch.testing.assert_close(logits[2:3], net(x[2:3]), rtol=1e-4, atol=1e-5)


def test_images_of_another_size_are_refused():
    with pytest.raises(ShapeError, match=r"\(n, 1, 8, 8\), got \(2, 1, 8, 9\)"):
        ConvClassifier(1, (8, 8), classes=10)(torch.zeros(2, 1, 8, 9))


def test_learns_digits():
    """More than 95 % of 360 digits it has not seen, after six passes over the others."""
    digits = load_digits()
    x, y = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1, torch.tensor(digits.target)
    order = torch.randperm(len(x))
    train, held_out = order[360:], order[:360]
    net = ConvClassifier(1, (8, 8), classes=10, width=16)
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)

    def loss(rows: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(net(x[rows]), y[rows])

    for _ in range(6):
        for rows in train[torch.randperm(len(train))].split(64):
            optimiser.zero_grad()
            loss(rows).backward()
            optimiser.step()
    with torch.no_grad():
        accuracy = (net(x[held_out]).argmax(1) == y[held_out]).double().mean().item()
    assert accuracy > 0.95
