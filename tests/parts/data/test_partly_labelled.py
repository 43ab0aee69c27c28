"""Hidden labels: which are known, that they stay with their rows, and what is refused."""

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError, DataError
from pushforward.parts.data import Images, PartlyLabelled, Table, hide_labels


def images(n: int = 100) -> Images:
    """Every image tells its number, and its label is the number's last digit."""
    pixels = torch.arange(n, dtype=torch.uint8).reshape(n, 1, 1, 1).expand(n, 1, 2, 2).contiguous()
    return Images.of(pixels.numpy(), (torch.arange(n) % 10).numpy(), levels=256)


def test_a_share_of_each_class_is_hidden_and_the_rest_is_true():
    some = hide_labels(images(), 0.7, seed=1)
    batch = some.take(torch.arange(100))
    assert len(some) == 100
    assert some.known == 30
    assert some.classes == 10
    assert some.event_shape == (1, 2, 2)
    known = batch.condition >= 0
    assert (batch.condition[~known] == -1).all()
    assert torch.equal(batch.condition[known], batch.x[known, 0, 0, 0].long() % 10)
    assert torch.equal(batch.condition[known].bincount(), torch.full((10,), 3))
    assert torch.equal(hide_labels(images(), 0.7, seed=1).labels, some.labels)
    assert not torch.equal(hide_labels(images(), 0.7, seed=2).labels, some.labels)


def test_splitting_keeps_labels_with_their_rows():
    some = hide_labels(images(), 0.7)
    parts = some.split((0.5, 0.5), seed=3)
    assert [len(part) for part in parts] == [50, 50]
    assert sum(part.known for part in parts) == 30
    assert all(13 <= part.known <= 17 for part in parts)
    seen = torch.cat([part.take(torch.arange(50)).x[:, 0, 0, 0] for part in parts])
    assert torch.equal(seen.sort().values, torch.arange(100.0))
    for part in parts:
        batch = part.take(torch.arange(50))
        assert torch.equal(batch.condition, some.labels[batch.x[:, 0, 0, 0].long()])


def test_tables_all_and_none():
    values = torch.cat([torch.randn(40, 2), (torch.arange(40.0) % 2)[:, None]], 1)
    table = Table.of(values).given("x2")
    for share, known in ((0.0, 40), (1.0, 0), (0.5, 20)):
        assert hide_labels(table, share).known == known
        assert hide_labels(table, share).classes == 2
    own = PartlyLabelled(table.drop("x0"), torch.tensor([-1, 2, 0] * 10 + [-1] * 10), torch.arange(40))
    assert own.known == 20
    some = hide_labels(table, 0.5)
    assert some.take(torch.arange(40)).x.shape == (40, 2)
    assert some.classes == 2
    assert some.describe() == table.describe()
    assert "20 with labels" in repr(some)


def test_a_fit_takes_them_and_a_rebuilt_model_agrees(tmp_path):
    train = hide_labels(pf.data.load("digits"), 0.9)
    model = pf.flows.hybrid(train, layers=2, hidden=(16,))
    pf.fit(model, train, steps=3, settings=pf.training.Settings(bar=False))
    pf.save(model, tmp_path / "model")
    again = pf.load(tmp_path / "model")
    x = train.take(torch.arange(5)).x
    assert torch.equal(again.class_log_probs(x), model.class_log_probs(x))
    assert torch.equal(again.log_prob(x), model.log_prob(x))


def test_what_it_refuses():
    with pytest.raises(ConfigError, match=r"a share of the rows from 0 to 1, got 1\.5"):
        hide_labels(images(), 1.5)
    for data in (images().unlabelled(), Table.of(torch.randn(20, 2)), Table.of(torch.randn(20, 2)).given("x1")):
        with pytest.raises(DataError, match="expected images with labels, or a table given one column"):
            hide_labels(data, 0.5)
