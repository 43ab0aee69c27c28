"""Continuous flows: kinds, errors, and what stands in the way of the fast path."""

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError, ShapeError
from pushforward.parts.bijections import Continuous, PlanarField
from pushforward.parts.nn import VectorField, VelocityConvNet, VelocityMLP


def test_kinds_say_whether_an_evaluation_is_estimated():
    kinds = {
        "closed, 100 features": Continuous(VelocityMLP(100, (8, 8))),
        "deep, 16 features": Continuous(VelocityMLP(16, (8, 8, 8))),
        "deep, 17 features": Continuous(VelocityMLP(17, (8, 8, 8))),
        "asked for": Continuous(VelocityMLP(2, (8,)), "hutchinson"),
        "images": Continuous(VelocityConvNet((1, 5, 5), width=2)),
    }
    found = {name: part.log_det_kind for name, part in kinds.items()}
    assert list(found.values()) == ["exact", "exact", "estimate", "estimate", "estimate"]
    assert all(part.inverse_kind == "iterative" for part in kinds.values())
    assert pf.flows.ffjord(features=17, hidden=(8, 8, 8)).log_prob_kind == "estimate"


@pytest.mark.parametrize(
    "wrong", [{"trace": "rough"}, {"probe": "uniform"}, {"gradient": "none"}, {"probes": 0}], ids=str
)
def test_unknown_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match="expected"):
        Continuous(VelocityMLP(2, (4,)), **wrong)


def test_fields_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="event_shape"):
        Continuous(VectorField(2, (4,)))
    for build in (lambda: VelocityMLP(2, (4,), "relu"), lambda: VelocityMLP(2, ()), lambda: PlanarField(0)):
        with pytest.raises(ConfigError, match="expected"):
            build()
    with pytest.raises(ConfigError, match="images of shape"):
        VelocityConvNet((4, 4))
    t = torch.zeros(3)
    for field, z in (
        (VelocityMLP(2, (4,)), (3, 3)),
        (PlanarField(2), (3, 3)),
        (VelocityConvNet((1, 2, 2)), (3, 1, 2, 3)),
    ):
        with pytest.raises(ShapeError):
            field(t, torch.zeros(z))
    with pytest.raises(ConfigError, match="Continuous part"):
        pf.flows.Regularised(pf.flows.planar(features=2), kinetic=1.0)
    with pytest.raises(ConfigError, match="at least 0"):
        pf.flows.ffjord(features=2, kinetic=-1.0)


def test_a_field_that_blows_up_says_so():
    class Explosive(torch.nn.Module):
        event_shape = torch.Size((1,))

        def forward(self, t, z):
            return 10 * z**2

    part = Continuous(Explosive(), "exact")
    with pytest.raises(pf.diffeq.SolveError, match="expected all 1 samples"):
        part.forward(torch.ones(1, 1))


def test_every_setting_solves_the_same():
    torch.manual_seed(0)
    field, z = VelocityMLP(2, (8, 8), zero_last=False), torch.randn(6, 2)
    x, log_det = Continuous(field).forward(z)
    for settings in (
        {"gradient": "direct"},
        {"solver": pf.diffeq.Tsit5()},
        {"solver": pf.diffeq.RK4(), "step_size": 0.02},
    ):
        again, other = Continuous(field, **settings).forward(z)
        torch.testing.assert_close(again, x, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(other, log_det, rtol=1e-3, atol=1e-4)
    weights = {name: p.detach() * 1.0 for name, p in field.named_parameters()}
    weights = {f"field.{name}": p.requires_grad_() * 1.0 for name, p in weights.items()}
    x_again, _ = torch.func.functional_call(Continuous(field), weights, (z,))
    torch.testing.assert_close(x_again, x, rtol=1e-3, atol=1e-4)
    x_again.sum().backward()  # by the graph, since the weights are gone


def test_images_train_and_draw():
    model = pf.flows.ffjord_images(event_shape=(1, 4, 4), levels=17, width=4, classes=3)
    x = torch.randint(17, (5, 1, 4, 4)).float()
    batch = pf.core.data.Batch(x, torch.tensor([0.0, 1.0, 2.0, 0.0, 1.0]))
    loss = model.objective(model, batch, pf.core.random.RowGenerator(0, 5))
    loss.value.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    assert set(loss.metrics) == {"density loss", "kinetic energy", "jacobian energy"}
    assert model.log_prob_kind == "estimate" or model.log_prob_kind == "lower_bound"
