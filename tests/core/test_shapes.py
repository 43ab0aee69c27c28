"""Splitting, broadcasting and refusing of shapes."""

import pytest
import torch
from torch import Size

from pushforward.core.errors import ShapeError, UserError
from pushforward.core.shapes import (
    as_size,
    expand_right,
    flatten_batch,
    flatten_condition,
    match_dtype,
    require_tensor,
    sum_event,
)


def test_a_number_or_a_sequence_is_a_size():
    assert as_size(3) == Size((3,))
    assert as_size([3, 4]) == as_size(Size((3, 4))) == Size((3, 4))
    assert as_size(()) == Size(())


@pytest.mark.parametrize("batch", [(), (1,), (4,), (2, 3), (0,), (2, 0)], ids=str)
@pytest.mark.parametrize("event", [(), (2,), (3, 1, 2)], ids=str)
def test_flattening_is_undone_by_reshaping(batch, event):
    x = torch.randn((*batch, *event))
    flat, found = flatten_batch(x, Size(event))
    assert found == Size(batch)
    assert flat.shape == (Size(batch).numel(), *event)
    assert torch.equal(flat.reshape((*found, *event)), x)


@pytest.mark.parametrize("shape", [(), (2,), (3, 4), (3, 2, 1)], ids=str)
def test_a_wrong_event_is_refused_in_one_sentence(shape):
    with pytest.raises(ShapeError, match=r"expected y of shape \(\*batch, 2, 3\), got .*; its last 2 dimensions"):
        flatten_batch(torch.zeros(shape), Size((2, 3)), "y")


def test_a_list_is_refused_with_the_remedy():
    with pytest.raises(UserError, match=r"expected x as a torch.Tensor, got list; wrap it with torch.as_tensor\(x\)"):
        require_tensor([1.0], "x")
    value = torch.zeros(2)
    assert require_tensor(value, "x") is value


def test_a_condition_is_broadcast_to_the_batch():
    condition = torch.randn(3, 1, 2)
    flat = flatten_condition(condition, Size((2,)), Size((5, 3, 4)))
    assert flat is not None
    assert torch.equal(flat.reshape(5, 3, 4, 2), condition.expand(5, 3, 4, 2))
    one = flatten_condition(torch.tensor([1.0, 2.0]), Size((2,)), Size((4,)))
    assert one is not None
    assert one.shape == (4, 2)


@pytest.mark.parametrize(
    ("condition", "expected", "optional", "sentence"),
    [
        (torch.zeros(2), None, False, "expected no condition"),
        (None, Size((2,)), False, "expected a condition of shape .* got none; pass condition="),
        (torch.zeros(3), Size((2,)), True, "expected condition of shape"),
        (torch.zeros(4, 2), Size((2,)), False, r"batch shape broadcasts to \(3,\), got \(4,\)"),
        (torch.zeros(2, 3, 2), Size((2,)), False, r"batch shape broadcasts to \(3,\), got \(2, 3\)"),
        (torch.zeros(3, 1, 2), Size((2,)), False, r"batch shape broadcasts to \(3,\), got \(3, 1\)"),
    ],
)
def test_a_condition_that_does_not_fit_is_refused(condition, expected, optional, sentence):
    with pytest.raises(ShapeError, match=sentence):
        flatten_condition(condition, expected, Size((3,)), optional)


def test_a_missing_condition_may_be_optional():
    assert flatten_condition(None, Size((2,)), Size((3,)), optional=True) is None
    assert flatten_condition(None, None, Size((3,))) is None


def test_times_broadcast_from_the_left():
    like = torch.zeros(4, 2, 3)
    t = torch.arange(4.0)
    assert torch.equal(expand_right(t, like) + like, torch.arange(4.0)[:, None, None].expand(4, 2, 3))
    assert expand_right(torch.tensor(2.0), like).shape == ()


@pytest.mark.parametrize("event", [(), (5,), (2, 3), (0,)], ids=str)
def test_sum_over_the_event_leaves_the_batch(event):
    x = torch.randn(4, *event, dtype=torch.float64)
    assert torch.allclose(sum_event(x), torch.stack([row.sum() for row in x]))


def test_integers_become_floats_and_floats_are_never_cast():
    assert match_dtype(torch.tensor([1, 2]), torch.float64).dtype == torch.float64
    x = torch.zeros(2)
    assert match_dtype(x, torch.float32) is x
    with pytest.raises(ShapeError, match=r"expected x of dtype torch.float64, got torch.float32; convert it with"):
        match_dtype(x, torch.float64)
