"""Squeeze, actnorm, 1x1 convolution, image coupling, multi-scale, class prior: errors and edges."""

import pytest
import torch

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError, DataError, ShapeError
from pushforward.core.random import RowGenerator
from pushforward.parts.bijections import (
    ActNorm,
    ActNormConv,
    AffineTransformer,
    ClassPrior,
    ImageCoupling,
    InvertibleConv1x1,
    MultiScale,
    Squeeze,
    start_from_data,
)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Squeeze((1, 7, 8)), "images.resized"),
        (lambda: Squeeze((4, 4)), "expected images"),
        (lambda: ActNorm(()), "event with channels"),
        (lambda: InvertibleConv1x1((2, 2), "lu"), "'plu' or 'dense'"),
        (lambda: InvertibleConv1x1(()), "event with channels"),
        (lambda: ActNormConv(ActNorm(2), InvertibleConv1x1((3,))), "two parts of one shape"),
        (lambda: ImageCoupling((2, 4, 4), "rows", AffineTransformer(), pf.nn.CouplingConvNet(1, 2)), "expected a mask among"),
        (lambda: ImageCoupling((1, 4, 4), "channel", AffineTransformer(), pf.nn.CouplingConvNet(1, 2)), "squeeze them first"),
        (lambda: ImageCoupling((4, 4, 4), "channel", AffineTransformer(), pf.nn.CouplingConvNet(1, 2)), "2 inputs and 4 outputs"),
        (lambda: MultiScale([]), "at least one level"),
        (lambda: MultiScale([Squeeze((2, 4, 4)), Squeeze((2, 4, 4))]), "level 1 to take more channels"),
        (lambda: ClassPrior(3, 0), "at least 1 class"),
        (lambda: pf.nn.CouplingConvNet(1, 0), "at least 1"),
        (lambda: pf.nn.CouplingResNet(1, 2, blocks=0), "at least 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(build, words):
    with pytest.raises(ConfigError, match=words):
        build()


def test_squeeze_by_three():
    x = torch.arange(36.0).reshape(1, 1, 6, 6)
    z, _ = Squeeze((1, 6, 6), 3).inverse(x)
    assert z[0, :, 0, 0].tolist() == [0, 1, 2, 6, 7, 8, 12, 13, 14]


def test_classes_must_be_whole_numbers():
    with pytest.raises(DataError, match=r"got numbers from 0\.5 to 0\.5"):
        ClassPrior(2, 3).forward(torch.zeros(1, 2), torch.tensor([0.5]))


@pytest.mark.parametrize("network", [pf.nn.CouplingConvNet, pf.nn.CouplingResNet])
def test_networks_with_classes_need_them(network):
    net = network(1, 2, width=4, classes=3)
    with pytest.raises(ShapeError, match="got none"):
        net(torch.zeros(2, 1, 3, 3))
    assert (net(torch.zeros(2, 1, 3, 3), torch.tensor([0.0, 2.0])) == 0).all()


def test_a_start_needs_an_objective():
    with pytest.raises(ConfigError, match="a model with an objective, got ActNorm"):
        start_from_data(ActNorm(2), Batch(torch.randn(5, 2)), RowGenerator(0, 5))


def test_a_start_that_fails_leaves_the_model_ready():
    flow = pf.Flow(pf.distributions.Gaussian.standard(2), ActNorm(2))
    with pytest.raises(ShapeError):
        start_from_data(flow, Batch(torch.randn(5, 3)), RowGenerator(0, 5))
    assert not flow.bijection.starting
    assert all(parameter.requires_grad for parameter in flow.parameters())


@pytest.mark.parametrize("classes", [None, 3])
@pytest.mark.parametrize("width", [0, 2])
def test_the_gradient_by_hand_is_that_by_finite_differences(width, classes):
    net = pf.nn.CouplingConvNet(2, 3, width=width, classes=classes).double()
    torch.manual_seed(0)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    label = None if classes is None else torch.tensor([0.0, 2.0]).double()
    names, weights = zip(*net.named_parameters())

    def run(x, *weights):
        return torch.func.functional_call(net, dict(zip(names, weights)), (x, label))

    assert torch.autograd.gradcheck(run, (x, *weights))
    assert torch.autograd.gradgradcheck(run, (x, *weights))
