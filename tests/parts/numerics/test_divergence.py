"""Modes, shapes and mistakes of the divergences."""

import pytest
import torch
from jaxtyping import TypeCheckError

from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.random import RowGenerator
from pushforward.parts.numerics import divergence_exact, divergence_hutchinson, draw_probes


def square(x):
    return x**2


def test_the_graph_is_kept_when_asked_for_and_only_then():
    x = torch.randn(3, 2, requires_grad=True)
    probes = draw_probes(RowGenerator(0, 3), 4, (2,))
    for differentiable, grad in ((True, False), (False, True)):
        with torch.set_grad_enabled(grad):
            fx, trace = divergence_exact(square, x, differentiable=differentiable)
            gx, mean, error = divergence_hutchinson(square, x, probes, differentiable=differentiable)
        for value in (fx, trace, gx, mean):
            assert value.requires_grad == differentiable
        assert not error.requires_grad
    assert x.grad is None


def test_inference_mode():
    with torch.inference_mode():
        x = torch.tensor([[1.0, 2.0]])
        torch.testing.assert_close(divergence_exact(square, x)[1], torch.tensor([6.0]))
        torch.testing.assert_close(divergence_hutchinson(square, x, torch.ones(1, 1, 2))[1], torch.tensor([6.0]))


def test_one_probe_cannot_tell_its_error():
    _, mean, error = divergence_hutchinson(square, torch.randn(3, 2), torch.ones(1, 3, 2))
    assert error.isinf().all()
    assert mean.isfinite().all()


def test_no_rows():
    fx, trace = divergence_exact(square, torch.zeros(0, 2))
    assert (fx.shape, trace.shape) == ((0, 2), (0,))
    fx, mean, error = divergence_hutchinson(square, torch.zeros(0, 2), torch.zeros(3, 0, 2))
    assert (fx.shape, mean.shape, error.shape) == ((0, 2), (0,), (0,))


def test_probes_of_a_row_do_not_depend_on_the_batch():
    for kind in ("rademacher", "gaussian"):
        many, few = (draw_probes(RowGenerator(1, rows), 3, (2, 2), kind=kind) for rows in (9, 4))
        assert torch.equal(many[:, :4], few)
        assert many.shape == (3, 9, 2, 2)
    assert set(draw_probes(RowGenerator(1, 50), 3, (2,)).unique().tolist()) == {-1.0, 1.0}


def test_mistakes_are_told():
    with pytest.raises(ShapeError, match="must be square"):
        divergence_exact(lambda x: x[:, :1], torch.randn(3, 2))
    with pytest.raises(ShapeError, match="at least one probe"):
        divergence_hutchinson(square, torch.randn(3, 2), torch.zeros(0, 3, 2))
    with pytest.raises((ConfigError, TypeCheckError), match="uniform"):
        draw_probes(RowGenerator(0, 3), 4, (2,), kind="uniform")
