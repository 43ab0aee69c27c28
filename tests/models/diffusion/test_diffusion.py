"""`Diffusion`: units, conditions, draws, errors, and what a file keeps of it."""

import json

import pytest
import torch
from torch import Tensor, nn

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError, ShapeError
from pushforward.core.random import RowGenerator
from pushforward.core.registry import build, describe
from pushforward.models.diffusion import Denoising, Diffusion
from pushforward.models.diffusion.samplers import DDIM, Ancestral, ProbabilityFlow


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stirred(model: nn.Module) -> nn.Module:
    """Networks begin as the zero function; give every parameter a value."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=seeded(parameter.numel())))
    return model


def labelled(levels: int | None = 5) -> Diffusion:
    return stirred(pf.diffusion.v_diffusion(event_shape=(1, 5, 6), classes=3, levels=levels, width=8))  # type: ignore[return-value]


def test_samples_are_ordinary_tensors_in_the_units_of_the_data():
    model = labelled()
    x = model.sample(4, torch.tensor([0, 1, 2]), sampler=DDIM(steps=3), generator=seeded(1))
    assert x.shape == (4, 3, 1, 5, 6)
    assert not x.is_inference()
    assert torch.equal(x, x.floor())
    assert 0 <= x.min() <= x.max() <= 4
    nn.Linear(6, 1)(x).sum().backward()  # an inference tensor could not be saved for this


def test_the_condition_matters_and_may_be_left_out():
    model = labelled(levels=None)
    draws = [
        model.sample(2, c, sampler=DDIM(steps=3), generator=seeded(1))
        for c in (torch.tensor([0]), torch.tensor([2]), None)
    ]
    assert not any(torch.allclose(a, b) for a, b in ((draws[0], draws[1]), (draws[0], draws[2]), (draws[1], draws[2])))
    without = torch.full((2,), 3)
    torch.testing.assert_close(model.sample((), without, sampler=DDIM(steps=3), generator=seeded(1)), draws[2])
    with pytest.raises(ShapeError, match="labels"):
        model.sample(1, torch.tensor(7), sampler=DDIM(steps=2))


def test_a_continuous_condition_is_asked_for_in_the_users_units():
    table = pf.data.Table.of(
        torch.tensor([[0.1, 3.0, 1900.5], [0.4, 5.0, 1950.0], [0.2, 4.0, 2000.25]]), ["a", "n", "year"]
    )
    model = stirred(pf.diffusion.flow_matching(table.given("year"), width=16))
    assert model.integer.tolist() == [False, True]
    assert model.loc[1] == pytest.approx(4.5)  # half a cell above the mean
    x = model.sample(5, torch.tensor([[1900.0], [2000.0]]), sampler=DDIM(steps=4), generator=seeded(2))
    assert x.shape == (5, 2, 2)
    assert torch.equal(x[..., 1], x[..., 1].round())
    assert not torch.equal(x[..., 0], x[..., 0].round())
    with pytest.raises(ShapeError, match="expected a condition"):
        model.sample(5)


def test_the_callback_sees_every_step():
    model, seen = labelled(), []
    model.sample(
        3, sampler=Ancestral(steps=4), callback=lambda state, info: seen.append((state.step, info.values["time"]))
    )
    assert [step for step, _ in seen] == [1, 2, 3, 4]
    times = [time for _, time in seen]
    assert times == sorted(times, reverse=True)
    assert times[-1] == model.path.t_min


def test_draws_carry_gradients_where_they_can():
    model = stirred(pf.diffusion.flow_matching(event_shape=2, width=16))
    model.rsample(3, generator=seeded(3)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    torch.testing.assert_close(model.rsample(3, generator=seeded(3)), model.sample(3, generator=seeded(3)))
    with pytest.raises(TypeError, match="cannot be reparameterised"):
        labelled().rsample(3)


@pytest.mark.parametrize(
    "sampler", [Ancestral(steps=3), DDIM(steps=3), ProbabilityFlow(steps=3)], ids=lambda s: type(s).__name__
)
def test_it_works_in_double_precision(sampler):
    model = labelled().double()
    x = model.sample(2, sampler=sampler)
    assert x.dtype == torch.float64
    assert model.log_prob_estimate(x, steps=2, max_solver_error=1e9).value.dtype == torch.float64
    with pytest.raises(ShapeError, match="expected x of dtype"):
        model.log_prob(x.float())


@pytest.mark.parametrize(
    "model", [lambda: labelled(), lambda: pf.diffusion.ddpm(torch.randn(20, 3) * 5, width=16)], ids=["images", "rows"]
)
def test_a_model_is_rebuilt_from_json_and_its_weights(model):
    model = stirred(model())
    tensors: dict[str, Tensor] = {}
    again = build(json.loads(json.dumps(describe(model, tensors))), tensors)
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(
        again.sample(3, generator=seeded(4)), model.sample(3, generator=seeded(4)), rtol=0, atol=0
    )
    sampler = build(json.loads(json.dumps(describe(Ancestral(steps=7, spacing="time"), {}))), {})
    assert sampler == Ancestral(steps=7, spacing="time")


@pytest.mark.parametrize("arguments", [{"levels": 1}, {"levels": 4, "loc": 1.0}, {"scale": 0.0}, {"scale": torch.ones(3)},
                                       {"classes": 2, "condition_features": 1}], ids=str)  # fmt: skip
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(ConfigError, match="expected"):
        Diffusion(nn.Identity(), pf.paths.Linear(), 2, **arguments)


def test_pixels_that_were_scaled_are_refused():
    model = labelled()
    for x in (
        torch.rand(2, 1, 5, 6),
        torch.full((2, 1, 5, 6), 5.0),
        torch.full((2, 1, 5, 6), -1.0),
        torch.full((2, 1, 5, 6), torch.nan),
    ):
        with pytest.raises(
            ShapeError, match="expected whole numbers from 0 to 4" if x.isfinite().all() else "expected finite numbers"
        ):
            model.log_prob_estimate(x)
        with pytest.raises(ShapeError, match="give pixels as they are stored"):
            Denoising()(model, Batch(x), RowGenerator(0, 2))


def test_a_kernel_that_is_no_sampler_is_refused():
    kernel = pf.inference.Langevin(pf.distributions.Gaussian.standard(2), 0.1)
    with pytest.raises(ConfigError, match="expected a sampler of"):
        pf.diffusion.flow_matching(event_shape=2, width=16).sample(2, sampler=kernel)


def test_labels_are_dropped_while_training_only():
    seen = []

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, y, t, condition):
            seen.append(condition.clone())
            return y * self.weight

    model = Diffusion(Watched(), pf.paths.Cosine(), 2, "v", classes=4)
    batch = Batch(torch.randn(1000, 2), torch.arange(1000) % 4)
    for training in (True, False):
        Denoising(drop_condition=0.25)(model.train(training), batch, RowGenerator(1, 1000))
    dropped = seen[0] == 4
    assert 190 < dropped.sum() < 310  # 4.4 standard errors
    assert torch.equal(seen[0][~dropped], batch.condition[~dropped])
    assert torch.equal(seen[1], batch.condition)


def test_the_loss_is_finite_at_every_time_in_single_precision():
    for path in (pf.paths.VP(), pf.paths.VE(), pf.paths.Cosine(), pf.paths.Linear()):
        for predict in ("data", "noise", "score", "velocity", "v"):
            for weighting in ("simple", "likelihood"):
                model = Diffusion(pf.nn.TimeMLP(2, hidden=16), path, 2, predict)
                loss = Denoising(weighting)(model, Batch(torch.randn(500, 2)), RowGenerator(1, 500))
                loss.value.backward()
                assert loss.value.isfinite()
                assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_a_single_draw_cannot_tell_its_error():
    rows, images = pf.diffusion.v_diffusion(event_shape=2, width=16), labelled()
    x, pixels = torch.zeros(3, 2), torch.zeros(3, 1, 5, 6)
    assert rows.log_prob_estimate(x, exact=False, probes=1).probe_error.isinf().all()
    assert rows.log_prob_estimate(x, exact=True).std_error.isfinite().all()
    once = images.log_prob_estimate(pixels, probes=1, dequantisations=1)
    assert once.value.isfinite().all()
    assert once.std_error.isinf().all()
    twice = images.log_prob_estimate(pixels, probes=1, dequantisations=2)
    assert twice.std_error.isfinite().all()
    assert twice.probe_error.eq(0).all()


def test_settings_are_checked():
    for settings in ({"drop_condition": 1.0}, {"drop_condition": -0.1}):
        with pytest.raises(ConfigError, match=r"expected drop_condition in \[0, 1\)"):
            Denoising(**settings)
    with pytest.raises(ConfigError, match=r"expected eta in \[0, 1\], got 2"):
        DDIM(eta=2.0)
    model = pf.diffusion.flow_matching(event_shape=2, width=16)
    with pytest.raises(ConfigError, match="expected at least one step"):
        model.sample(1, sampler=DDIM(steps=0))
    with pytest.raises(ConfigError, match="expected at least one probe"):
        model.log_prob_estimate(torch.zeros(2), probes=0)


@pytest.mark.parametrize(
    "build_model", [pf.diffusion.ddpm, pf.diffusion.v_diffusion, pf.diffusion.flow_matching], ids=lambda f: f.__name__
)
def test_named_models_are_sized_from_the_data(build_model):
    images = pf.data.Images.of(torch.randint(0, 256, (6, 40, 21), dtype=torch.uint8), labels=[0, 1, 2, 0, 1, 2])
    model = build_model(images, width=8)
    assert model.event_shape == (1, 40, 21)  # sides that no power of two divides
    assert (model.classes, model.levels) == (3, 256)
    batch = images.take(torch.arange(4))
    model.objective(model, batch, RowGenerator(0, 4)).value.backward()
    assert model.sample((), batch.condition, sampler=DDIM(steps=2)).shape == batch.x.shape
    assert build_model(torch.randn(50, 7), width=16).event_shape == (7,)


def test_a_named_model_wants_data_or_a_shape():
    with pytest.raises(ConfigError, match="got neither"):
        pf.diffusion.ddpm()
    with pytest.raises(ConfigError, match="got both"):
        pf.diffusion.ddpm(torch.randn(5, 2), event_shape=2)
    with pytest.raises(ConfigError, match="which know their own"):
        pf.diffusion.ddpm(torch.randn(5, 2), levels=4)
    with pytest.raises(ConfigError, match=r"expected events of shape \(features,\)"):
        pf.diffusion.ddpm(event_shape=(3, 4))


def test_a_short_fit_learns_two_bumps():
    data = torch.randn(2000, 1, generator=seeded(5)) * 0.3 + torch.tensor([40.0, 44.0]).repeat(1000)[:, None]
    model = pf.diffusion.v_diffusion(data, width=32)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(150):
        rows = torch.randint(0, 2000, (256,), generator=seeded(step))
        loss = model.objective(model, Batch(data[rows]), RowGenerator(step, 256)).value
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x = model.sample(500, generator=seeded(6))[:, 0]
    near = [(x - centre).abs() < 1.2 for centre in (40.0, 44.0)]
    assert near[0].sum() > 150
    assert near[1].sum() > 150
    assert (near[0] | near[1]).float().mean() > 0.9
    held_out = torch.tensor([40.0, 44.0, 42.0, 30.0])[:, None]
    scores = model.eval().log_prob(held_out)
    assert scores[:2].min() > scores[2] > scores[3]
