"""What the base class promises for every distribution: shapes, sentences, chunks, gradients, and the view for torch."""

import pytest
import torch
from torch import Size, Tensor, nn

from pushforward.core import batching
from pushforward.core.distribution import Distribution
from pushforward.core.errors import ShapeError
from pushforward.core.objective import negative_log_likelihood
from pushforward.core.random import RowGenerator


class Shifted(Distribution):
    """A normal whose mean is linear in an optional condition, and which notes how many rows it sees at once."""

    def __init__(self, event_shape=(2, 3), condition_shape=None, optional=False):
        super().__init__()
        self.event_shape = Size(event_shape)
        self.condition_shape = None if condition_shape is None else Size(condition_shape)
        self.condition_optional = optional
        self.shift = nn.Parameter(torch.full(self.event_shape, 0.5))
        self.rows_seen: list[int] = []

    def _mean(self, condition: Tensor | None) -> Tensor:
        if condition is None:
            return self.shift
        return self.shift + condition.flatten(1).sum(1).reshape(-1, *(1,) * len(self.event_shape))

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        self.rows_seen.append(generator.rows)
        return self._mean(condition) + generator.normal(*self.event_shape)

    def _log_prob(self, x: Tensor, condition: Tensor | None) -> Tensor:
        self.rows_seen.append(len(x))
        return torch.distributions.Normal(self._mean(condition), 1.0).log_prob(x).flatten(1).sum(1)


class Sampler(Distribution):
    """Draws without a density."""

    log_prob_kind = "none"
    reparameterised = False

    def __init__(self):
        super().__init__()
        self.event_shape = Size((1,))

    def _sample(self, condition: Tensor | None, generator: RowGenerator) -> Tensor:
        return generator.normal(1)


def seed(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


@pytest.mark.parametrize("shape", [(), 5, (5,), (2, 3), (0,), [4]], ids=str)
@pytest.mark.parametrize("batch", [None, (), (4,), (2, 1)], ids=str)
def test_samples_and_densities_have_shape_batch_event(shape, batch):
    model = Shifted(condition_shape=None if batch is None else (7,))
    condition = None if batch is None else torch.randn(*batch, 7)
    full = Size((shape,) if isinstance(shape, int) else shape) + Size(batch or ())
    x = model.sample(shape, condition)
    assert x.shape == full + model.event_shape
    assert not x.requires_grad
    assert model.log_prob(x, condition).shape == full
    drawn, log_prob = model.rsample_and_log_prob(shape, condition, generator=seed(1))
    assert drawn.shape == x.shape
    assert torch.allclose(log_prob, model.log_prob(drawn, condition))


def test_sample_and_rsample_are_the_same_draws():
    model = Shifted()
    plain, reparameterised = model.sample(9, generator=seed(1)), model.rsample(9, generator=seed(1))
    assert torch.equal(plain, reparameterised.detach())
    assert torch.autograd.grad(reparameterised.sum(), model.shift)[0].eq(9).all()


def test_a_sample_is_the_same_whatever_the_batch():
    model = Shifted()
    few, many = model.sample(18, generator=seed(1)), model.sample(1000, generator=seed(1))
    assert torch.equal(few[17], many[17])


def test_every_sample_has_its_own_condition():
    model = Shifted((2,), (1,))
    condition = torch.tensor([[0.0], [1000.0]])
    assert (model.sample(50, condition).mean((0, 2)) - torch.tensor([0.5, 1000.5])).abs().max() < 5


def test_chunks_change_neither_samples_nor_densities(monkeypatch):
    condition = torch.randn(500, 7)
    whole = Shifted(condition_shape=(7,))
    x = whole.sample((), condition, generator=seed(1))
    assert max(whole.rows_seen) == 500
    monkeypatch.setattr(batching, "memory_budget", lambda device: 128 * 6 * 33)
    parts = Shifted(condition_shape=(7,))
    assert torch.equal(parts.sample((), condition, generator=seed(1)), x)
    with torch.no_grad():
        assert torch.equal(parts.log_prob(x, condition), whole.log_prob(x, condition))
    assert max(parts.rows_seen) == 32
    parts.log_prob(x, condition)
    assert max(parts.rows_seen) == 500  # with gradients nothing is split: the graph would hold it all anyhow


def test_integers_are_welcome_and_other_floats_are_not():
    model = Shifted((2,))
    assert torch.equal(model.log_prob(torch.tensor([1, 2])), model.log_prob(torch.tensor([1.0, 2.0])))
    with pytest.raises(ShapeError, match=r"expected x of dtype torch\.float32, got torch.float64"):
        model.log_prob(torch.zeros(2, dtype=torch.float64))
    assert model.double().log_prob(torch.zeros(2, dtype=torch.float64)).dtype == torch.float64


def test_shapes_that_do_not_fit_are_refused_in_a_sentence():
    plain, conditional = Shifted((2,)), Shifted((2,), (7,))
    with pytest.raises(ShapeError, match=r"expected x of shape \(\*batch, 2\), got \(3,\)"):
        plain.log_prob(torch.zeros(3))
    with pytest.raises(ShapeError, match="expected no condition"):
        plain.sample(3, torch.zeros(7))
    with pytest.raises(ShapeError, match="pass condition="):
        conditional.sample(3)
    with pytest.raises(ShapeError, match="pass condition="):
        conditional.log_prob(torch.zeros(3, 2))
    with pytest.raises(ShapeError, match=r"expected condition of shape \(\*batch, 7\), got \(6,\)"):
        conditional.sample(3, torch.zeros(6))


def test_an_optional_condition_may_be_left_out():
    model = Shifted((2,), (7,), optional=True)
    assert model.sample(3).shape == (3, 2)
    assert model.log_prob(torch.zeros(3, 2)).shape == (3,)


def test_what_a_distribution_cannot_do_it_says():
    with pytest.raises(TypeError, match="Sampler has no log_prob: its log_prob_kind is 'none'"):
        Sampler().log_prob(torch.zeros(1))
    with pytest.raises(TypeError, match="Sampler cannot be reparameterised"):
        Sampler().rsample(3)


def test_draws_without_gradients_are_refused_where_gradients_are_promised():
    class Jump(Sampler):
        def _log_prob(self, x, condition):
            return -x.abs().flatten()

    with pytest.raises(TypeError, match="Jump cannot be reparameterised"):
        Jump().rsample_and_log_prob(3)


def test_the_default_objective_is_the_negative_log_likelihood():
    from pushforward.core.data import Batch

    model = Shifted((2,))
    x = torch.randn(5, 2)
    loss = model.objective(model, Batch(x), RowGenerator(0, 5))
    assert model.objective is negative_log_likelihood
    assert torch.allclose(loss.value, -model.log_prob(x).mean())


def test_the_view_for_torch_draws_and_scores_the_same():
    view = Shifted((2,)).as_torch()
    assert isinstance(view, torch.distributions.Distribution)
    assert (view.batch_shape, view.event_shape) == (Size(()), Size((2,)))
    assert view.has_rsample
    assert not Sampler().as_torch().has_rsample
    assert view.sample().shape == (2,)
    assert view.sample((3, 4)).shape == (3, 4, 2)
    assert not view.sample((3,)).requires_grad
    assert view.rsample((3,)).requires_grad
    torch.manual_seed(1)
    a = view.sample((3,))
    torch.manual_seed(1)
    assert torch.equal(a, view.rsample((3,)))
    assert view.log_prob(a).shape == (3,)


def test_the_view_for_torch_broadcasts_over_the_condition():
    model, condition = Shifted((2,), (7,)), torch.randn(4, 7)
    view = model.as_torch(condition)
    assert (view.batch_shape, view.event_shape) == (Size((4,)), Size((2,)))
    assert view.sample((3,)).shape == (3, 4, 2)
    value = torch.randn(2)
    assert torch.equal(view.log_prob(value), model.log_prob(value.expand(4, 2), condition))
    assert view.log_prob(torch.randn(3, 1, 2)).shape == (3, 4)


def test_the_view_for_torch_does_not_stretch_an_event():
    view = Shifted((2,), (7,)).as_torch(torch.randn(4, 7))
    with pytest.raises(ShapeError, match=r"\(\*batch, 2\), got \(4, 1\)"):
        view.log_prob(torch.randn(4, 1))
