"""The reports of diffusion models: what samples cost, where the model errs, and with which guidance images were drawn."""

import pytest
import torch

import pushforward as pf
from pushforward import UserError
from pushforward.core.errors import ConfigError
from pushforward.lab.plots import cost_curves, noise_bars
from pushforward.lab.report import Report, report
from pushforward.lab.report.sampling_section import sampling_section
from pushforward.parts.data import Images, Table


@pytest.fixture(autouse=True)
def _coarse_pictures(monkeypatch):
    monkeypatch.setattr("pushforward.lab.report.page.DPI", 40)


def test_the_report_of_a_diffusion_of_a_table_shows_the_curve():
    g = torch.Generator().manual_seed(0)
    train, test = (Table.of(torch.randn(44, 2, generator=g)) for _ in range(2))
    page = report(pf.diffusion.v_diffusion(train, width=8), train, test, [], nfe=(1, 3))
    text = page.html()
    for title in ("What samples cost", "Error at each level of noise", "Nearest training rows"):
        assert text.count(f"<h2>{title}</h2>") == 1
    assert "<td>floor: real rows</td>" in text
    assert page.values["distance to training rows"] > 0


def test_the_report_of_images_says_that_it_drew_with_guidance():
    g = torch.Generator().manual_seed(1)
    labels = torch.arange(64) % 2
    pixels = (labels.view(-1, 1, 1, 1) * 12 + torch.randint(4, (64, 1, 4, 4), generator=g)).to(torch.uint8)
    train, test = (Images.of(pixels[:n], labels[:n], levels=16) for n in (64, 32))
    model = pf.diffusion.v_diffusion(train, width=8)
    text = report(model, train, test, [], nfe=(1, 2), guidance=2.0).html()
    assert "classifier-free guidance of weight 2" in text
    assert "<h2>What samples cost</h2>" in text


def test_few_rows_and_other_models_have_no_curve():
    page = Report("none")
    sampling_section(page, pf.flows.realnvp(torch.randn(50, 2)), pf.Batch(torch.randn(40, 2)), (1, 2), rows=10, seed=0)
    assert "What samples cost" not in page.html()
    model = pf.diffusion.ddpm(event_shape=2, width=8)
    sampling_section(page, model, pf.Batch(torch.randn(9, 2)), (1, 2), rows=10, seed=0)
    assert "too few held-out rows" in page.html()


def test_mistakes_are_said_in_a_sentence():
    model, x = pf.diffusion.ddpm(event_shape=2, width=8), torch.randn(20, 2)
    with pytest.raises(ConfigError, match="at least 1, got"):
        pf.metrics.sampling_curve(model, x, nfe=(0, 3))
    with pytest.raises(UserError, match="at least four real rows"):
        pf.metrics.sampling_curve(model, x[:3])
    with pytest.raises(ConfigError, match="diffusion model, which samples in steps"):
        pf.metrics.sampling_curve(pf.flows.realnvp(x), x)
    with pytest.raises(ConfigError, match="at least one bin"):
        pf.metrics.loss_by_noise(model, x, bins=0)
    with pytest.raises(ConfigError, match="levels of noise"):
        pf.metrics.loss_by_noise(pf.flows.realnvp(x), x)


def test_pictures_have_a_point_for_each_number():
    model, x = pf.diffusion.ddpm(event_shape=2, width=8), torch.randn(40, 2)
    figure = cost_curves(pf.metrics.sampling_curve(model, x, nfe=(1, 2, 4)))
    assert [len(axes.lines[0].get_xdata()) for axes in figure.axes] == [3, 3]
    assert len(noise_bars(pf.metrics.loss_by_noise(model, x, bins=5)).axes[0].patches) == 5
