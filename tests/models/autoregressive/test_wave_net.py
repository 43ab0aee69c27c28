"""WaveNet's mistakes and edges, and the way of a folder of sounds through fit, sample, score and report."""

import math

import pytest
import torch

from pushforward.core.errors import UserError
from pushforward.lab import runs
from pushforward.models.autoregressive import AmplitudeLevels, WaveNet, wavenet
from pushforward.parts.data import Audio, load, write_wavs
from pushforward.parts.distributions.outputs import Categorical


def small(**more) -> WaveNet:
    return wavenet(length=12, layers=2, stacks=1, width=4, skip=4, **more)


def test_mistakes_are_one_sentence():
    for call, sentence in (
        (lambda: wavenet(), "expected data or length="),
        (lambda: wavenet(length=3, classes=2, features=1), "classes or features or none"),
        (lambda: wavenet(length=3, layers=0), "layers and stacks of at least 1"),
        (lambda: WaveNet(3, AmplitudeLevels(8), Categorical(9)), "expected an output of the 8 levels"),
        (lambda: AmplitudeLevels(1), "at least 2 levels"),
        (lambda: small().log_prob(torch.tensor([0.1, 2.0])), "divide 16-bit numbers by 32768"),
        (lambda: small().log_prob(torch.tensor([math.nan, 0.1])), "expected NaN only after the end"),
        (lambda: small().sample(2, length=0), "at least 1 sample"),
        (lambda: small().sample(2, given=torch.zeros(13)), "expected at most 12 first samples"),
        (lambda: small().sample(2, given=torch.zeros(3, 5)), "broadcast to"),
        (lambda: small(classes=2).sample(2), "expected a condition"),
        (lambda: small(features=1, hop=4).log_prob(torch.zeros(13), torch.zeros(3, 1)), "expected at most 12 samples"),
        (lambda: small(outputs="logistic_mixture").sample(1, top_p=0.5), "expected top_p=1"),
    ):
        with pytest.raises(UserError, match=sentence):
            call()


def test_clips_of_many_lengths_are_drawn_and_none():
    model = small()
    x = model.sample(3, length=torch.tensor([2, 12, 7]))
    assert (~x.isnan()).sum(1).tolist() == [2, 12, 7]
    assert model.log_prob(x).isfinite().all()
    assert model.sample(0).shape == (0, 12)
    assert model.log_prob(torch.zeros(2, 3, 30)).shape == (2, 3)
    few, many = (model.sample(n, length=5, generator=torch.Generator().manual_seed(1)) for n in (2, 1500))
    assert torch.equal(few, many[:2])


def test_less_temperature_and_a_nucleus_draw_what_is_probable():
    model = small()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    mean = [float(model.log_prob(model.sample(40, generator=torch.Generator().manual_seed(2), **own)).detach().mean())
            for own in ({}, {"temperature": 0.3}, {"top_p": 0.2})]  # fmt: skip
    assert mean[0] + 5 < min(mean[1:])


@pytest.mark.slow
def test_a_folder_of_sounds_goes_through_fit_sample_score_and_report(tmp_path):
    t = torch.arange(80) / 2000
    for pitch in (100, 200, 400):
        phase = torch.rand(12, 1, generator=torch.Generator().manual_seed(pitch))
        write_wavs(tmp_path / "wavs" / str(pitch), 0.7 * (2 * math.pi * (pitch * t + phase)).sin(), 2000)
    changes = {"layers": "3", "stacks": "1", "width": "8", "skip": "8", "batch_size": "8"}
    folder, _ = runs.start(
        str(tmp_path / "wavs"), out=tmp_path / "run", steps=20, changes=changes, quiet=True, device="cpu"
    )
    run = runs.open_run(folder)
    page = run.report().read_text(encoding="utf-8")
    assert "recognised samples" in page
    assert page.count("<audio") == 3
    assert sorted(path.name for path in (folder / "samples").iterdir()) == ["100.wav", "200.wav", "400.wav"]
    runs.draw(run, 4, out=tmp_path / "drawn", given={"label": "200"}, temperature=0.8)
    drawn = load(tmp_path / "drawn")
    assert isinstance(drawn, Audio)
    assert (len(drawn), drawn.rate) == (4, 2000)
    assert "bits/sample" in runs.score(run, tmp_path / "wavs").summary()
