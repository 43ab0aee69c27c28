"""`transformer_flow`: images and tables, classes, edges, errors, save and load."""

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError, DataError, ShapeError
from pushforward.parts.distributions import Dequantised, Flow

SMALL = {"layers": 2, "width": 8, "heads": 2, "blocks": 1}


def images(classes: int | None = None, shape=(1, 4, 4)) -> pf.data.Images:
    pixels = torch.randint(8, (60, *shape), generator=torch.Generator().manual_seed(0)).byte()
    return pf.data.Images.of(pixels, None if classes is None else torch.arange(60) % classes, levels=8)


def test_images_with_and_without_labels_fit_and_draw():
    for data, condition in ((images(3), torch.arange(8) % 3), (images(), None)):
        flow = pf.flows.transformer_flow(data, **SMALL)
        pf.fit(flow, data, steps=3, settings=pf.training.Settings(bar=False))
        x = flow.sample(() if condition is not None else 8, condition)
        assert x.shape == (8, 1, 4, 4)
        assert torch.equal(x, x.round())
        batch = data.take(torch.arange(5))
        assert torch.isfinite(flow.log_prob(batch.x, batch.condition)).all()
        assert flow.check(batch.x, batch.condition).ok


def test_classes_change_what_it_draws():
    flow = pf.flows.transformer_flow(event_shape=(1, 4, 4), classes=2, levels=8, **SMALL)
    torch.manual_seed(0)
    for parameter in flow.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    x = torch.randint(8, (4, 1, 4, 4))
    assert (
        flow.log_prob(x, torch.zeros(4, dtype=torch.long)) != flow.log_prob(x, torch.ones(4, dtype=torch.long))
    ).all()
    with pytest.raises(ShapeError, match="expected a condition of shape"):
        flow.log_prob(x)


@pytest.mark.parametrize(
    ("shape", "patch", "tokens"),
    [((1, 8, 8), None, 16), ((3, 5, 6), None, 30), ((2, 6, 9), 3, 6), ((1, 4, 4), 4, 1)],
    ids=str,
)
def test_patches(shape, patch, tokens):
    flow = pf.flows.transformer_flow(event_shape=shape, levels=4, patch=patch, **SMALL)
    assert isinstance(flow, Dequantised)
    assert flow.model.base.event_shape == (tokens, shape[0] * shape[1] * shape[2] // tokens)
    assert flow.sample(2).shape == (2, *shape)


def test_tables_of_one_column_and_of_whole_numbers():
    x = torch.randn(100, 1)
    assert isinstance(pf.flows.transformer_flow(x, **SMALL), Flow)
    assert pf.flows.transformer_flow(x, **SMALL).check(x).ok
    table = pf.data.Table.of(torch.cat([torch.arange(50.0)[:, None] % 7, torch.rand(50, 1)], 1))
    model = pf.flows.transformer_flow(table, **SMALL)
    assert isinstance(model, Dequantised)
    assert model.sample(3).shape == (3, 2)
    given = pf.data.Table.of(torch.rand(50, 3)).given("x2")
    assert pf.flows.transformer_flow(given, **SMALL).sample(3, torch.rand(1)).shape == (3, 2)


@pytest.mark.parametrize(
    "settings", [{"features": 3, "condition": 2}, {"event_shape": (1, 4, 4), "levels": 4, "classes": 2}], ids=str
)
def test_it_is_saved_and_loaded(settings, tmp_path):
    flow = pf.flows.transformer_flow(**settings, **SMALL)
    condition = torch.ones(5, 2) if "features" in settings else torch.arange(5) % 2
    pf.save(flow, tmp_path / "flow.pf")
    again = pf.load(tmp_path / "flow.pf")
    x, y = (f.eval().sample((), condition, generator=torch.Generator().manual_seed(0)) for f in (flow, again))
    assert torch.equal(x, y)
    assert torch.equal(flow.log_prob(x, condition), again.log_prob(x, condition))


def test_one_seed_one_flow():
    a, b, c = (pf.flows.transformer_flow(features=2, seed=seed, **SMALL).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


def test_rows_do_not_depend_on_the_batch_in_either_direction():
    flow = pf.flows.transformer_flow(event_shape=(1, 4, 4), levels=4, **SMALL)
    few, many = (flow.sample(n, generator=torch.Generator().manual_seed(3)) for n in (3, 100))
    assert torch.equal(few, many[:3])


@pytest.mark.parametrize(("settings", "error", "words"), [
    ({}, ConfigError, "expected data or features="),
    ({"features": 2, "event_shape": (1, 4, 4)}, ConfigError, "expected no features and condition for images"),
    ({"event_shape": (1, 4, 4), "condition": 2}, ConfigError, "expected no features and condition for images"),
    ({"features": 2, "patch": 2}, ConfigError, "expected no classes, levels and patch for a table"),
    ({"data": torch.eye(2).repeat(10, 1), "event_shape": (1, 4, 4)}, ConfigError, "got both"),
    ({"data": images(2), "classes": 2}, ConfigError, "beside data, which know their own"),
    ({"event_shape": (1, 4, 6), "patch": 4}, ConfigError, "whose sides 4 divides"),
    ({"event_shape": (4, 4)}, ConfigError, r"expected images of shape \(channels, height, width\)"),
    ({"features": 2, "layers": 0}, ConfigError, "expected at least 1 layer"),
    ({"features": 2, "heads": 3}, ConfigError, "expected a number of heads that divides the width 8"),
    ({"features": 2, "blocks": 0}, ConfigError, "blocks and classes of at least 1"),
    ({"data": torch.ones(20, 2)}, DataError, "never changes|the same|constant"),
], ids=lambda value: str(value)[:60])  # fmt: skip
def test_what_is_impossible_is_refused(settings, error, words):
    with pytest.raises(error, match=words):
        pf.flows.transformer_flow(**{**SMALL, **settings})
