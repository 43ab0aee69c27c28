"""`dropped`: instants hidden by an option of the data, the same ones whenever a run is opened, others in its test part; targets."""

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError
from pushforward.lab import runs
from pushforward.lab.runs.config import Config, data_assignments
from pushforward.lab.runs.run import expectations, load_data


def test_a_share_of_the_instants_is_hidden_and_always_the_same():
    options = data_assignments({"dropped": "0.3"})
    assert options == {"dropped": 0.3}
    whole, first, second = (load_data("damped_oscillator", own) for own in ({}, options, options))
    assert torch.equal(first.observed, second.observed)
    assert first.observed.any(-1).sum(1).tolist() == [35] * len(whole)  # 70 % of 50
    assert not (first.observed & ~whole.observed).any()
    assert torch.equal(first.x, torch.where(first.observed, whole.x, 0.0))
    # Completely at random: each instant is hidden in 30 % of the rows; 50 counts within 5 standard errors, a false alarm in 30,000.
    hidden = (~first.observed.any(-1)).double().mean(0)
    assert float((hidden - 0.3).abs().max()) < 5 * (0.3 * 0.7 / len(whole)) ** 0.5


def test_the_test_part_has_gaps_of_its_own(tmp_path, monkeypatch):
    text = "@classLabel true a b\n@data\n" + "".join(f"{','.join(['1'] * 40)}:{'ab'[i % 2]}\n" for i in range(10))
    (tmp_path / "series").mkdir()
    for part in ("TRAIN", "TEST"):
        (tmp_path / "series" / f"ItalyPowerDemand_{part}.ts").write_text(text, encoding="utf-8")
    monkeypatch.setenv("PUSHFORWARD_DATA", str(tmp_path))
    train, test = (load_data("italy_power", {"dropped": 0.5, "part": part}) for part in ("train", "test"))
    assert train.observed.sum((1, 2)).tolist() == test.observed.sum((1, 2)).tolist() == [20] * 10
    assert (train.observed != test.observed).flatten(1).any(1).all()


def test_a_recipe_expects_its_figures_of_its_own_data_only():
    assert list(expectations(Config("italy_power", "neural_cde", "italy_power"))) == ["accuracy (%)"]
    assert not expectations(Config("italy_power", "neural_cde", "italy_power", {"dropped": 0.5}))
    assert not expectations(Config("italy_power", "neural_cde"))


def test_only_series_have_instants():
    with pytest.raises(ConfigError, match="expected series to hide instants of"):
        load_data("two_moons", {"dropped": 0.5})
    with pytest.raises(ConfigError, match=r"half of them is 0\.5"):
        load_data("damped_oscillator", {"dropped": 1.5})


def test_numbers_to_predict_from_the_file_to_the_report(tmp_path):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(40, 1, generator=random).expand(40, 4) + 0.1 * torch.randn(40, 4, generator=random)
    rows = [f"{i},{k},{float(x[i, k]):.5f},{float(10 + 3 * x[i].mean()):.5f}" for i in range(40) for k in range(4)]
    (tmp_path / "slope.csv").write_text("id,t,x,y\n" + "\n".join(rows) + "\n", encoding="utf-8")
    changes = {"time": "t", "series": "id", "label": "y", "batch_size": "32", "hidden": "4", "width": "8", "learning_rate": "0.03",
               "warmup": "5", "ema_decay": "0.5"}  # fmt: skip
    folder, _ = runs.start(
        str(tmp_path / "slope.csv"), model="neural_cde", out=tmp_path / "run", steps=60, changes=changes, quiet=True
    )
    run = runs.open_run(folder)
    train, _, test = run.parts()
    page = pf.report(run.model, train, test, run.history.records)
    mean = run.model.predict(test.take(torch.arange(len(test)))).mean.detach()
    assert page.values["RMSE"] == pytest.approx(float((mean - test.targets).square().mean().sqrt()), rel=1e-5)
    assert page.values["RMSE"] < 0.6 * float(test.targets.std())
    scores = runs.score(run, tmp_path / "slope.csv")
    assert scores.names == ["prediction_1", "error", "log_prob"]
    assert scores.summary().startswith("RMSE")
