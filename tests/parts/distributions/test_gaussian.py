"""Constructors, sentences and gradients of the Gaussians."""

import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.distributions import FullGaussian, Gaussian


def test_the_standard_normal_has_any_event_shape():
    for shape in (3, (3,), (2, 4, 4), ()):
        model = Gaussian.standard(shape)
        assert model.event_shape == (torch.Size((shape,)) if isinstance(shape, int) else torch.Size(shape))
        assert model.loc.eq(0).all()
        assert model.scale.eq(1).all()
        assert not list(model.parameters())


def test_one_number_stands_for_all():
    model = Gaussian(torch.zeros(2, 3), torch.tensor(2.0))
    assert model.event_shape == (2, 3)
    assert torch.allclose(model.scale, torch.full((2, 3), 2.0))


def test_the_arguments_are_copied():
    loc, factor = torch.zeros(2), torch.eye(2)
    diagonal, full = Gaussian(loc, torch.ones(2), learn=True), FullGaussian(loc, factor, learn=True)
    with torch.no_grad():
        for parameter in (*diagonal.parameters(), *full.parameters()):
            parameter += 1
    assert loc.eq(0).all()
    assert factor.equal(torch.eye(2))


def test_a_learned_factor_stays_triangular_with_a_positive_diagonal():
    model = FullGaussian(torch.zeros(3), torch.eye(3), learn=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    assert model.scale_tril.triu(1).eq(0).all()
    assert (model.scale_tril.diagonal() > 0).all()
    assert torch.linalg.eigvalsh(model.covariance).min() > 0


def test_fixed_numbers_move_with_the_module():
    model = FullGaussian(torch.zeros(2), torch.eye(2)).double()
    assert model.sample(3).dtype == torch.float64
    assert set(model.state_dict()) == {"loc", "lower", "log_diagonal"}
    assert set(Gaussian.standard(2).state_dict()) == {"loc", "log_scale"}


@pytest.mark.parametrize(
    ("loc", "scale", "sentence"),
    [
        (torch.zeros(2), torch.tensor([1.0, 0.0]), "expected a positive scale, got one with minimum 0; give"),
        (torch.zeros(2), torch.tensor([1.0, -3.0]), "expected a positive scale, got one with minimum -3"),
        (torch.zeros(2), torch.tensor([1.0, torch.nan]), "expected finite numbers in scale, got 1"),
        (torch.tensor([torch.inf]), torch.ones(1), "expected finite numbers in loc"),
        (torch.zeros(2), torch.ones(3), r"expected loc and scale of one shape, got \(2,\) and \(3,\)"),
        (torch.zeros(2).long(), torch.ones(2), r"expected loc as a floating tensor, got torch\.int64"),
        (torch.zeros(2), torch.ones(2).double(), r"expected one dtype, got loc torch\.float32, scale torch\.float64"),
    ],
)
def test_bad_parameters_are_refused(loc, scale, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Gaussian(loc, scale)


@pytest.mark.parametrize(
    ("factor", "sentence"),
    [
        (torch.ones(2, 3), r"got \(2,\) and \(2, 3\); a factor is square"),
        (torch.eye(3), r"got \(2,\) and \(3, 3\)"),
        (torch.ones(2), r"got \(2,\) and \(2,\)"),
        (torch.diag(torch.tensor([1.0, 0.0])), "got a singular or full one"),
        (torch.tensor([[1.0, 0.5], [0.5, 1.0]]), "give the Cholesky factor"),
    ],
)
def test_bad_factors_are_refused(factor, sentence):
    with pytest.raises(ConfigError, match=sentence):
        FullGaussian(torch.zeros(2), factor)


@pytest.mark.parametrize(
    ("covariance", "sentence"),
    [
        (torch.ones(2, 2), "expected a positive definite covariance, got one whose leading block of order 2"),
        (torch.tensor([[1.0, 2.0], [0.0, 1.0]]), "expected a symmetric covariance"),
        (torch.ones(2, 3), "expected a symmetric covariance"),
    ],
)
def test_bad_covariances_are_refused(covariance, sentence):
    with pytest.raises(ConfigError, match=sentence):
        FullGaussian.of_covariance(torch.zeros(2), covariance)
