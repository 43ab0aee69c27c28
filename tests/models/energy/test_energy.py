"""Errors and edges of the energy models: sizes, values, memory of log Z, chains that no averaging touches."""

import math

import pytest
import torch

import pushforward as pf
from pushforward.core.data import Batch
from pushforward.core.errors import ConfigError, DataError, ShapeError, UserError
from pushforward.core.random import RowGenerator
from pushforward.models.energy import Bits, BoltzmannTraining, EnergyModel, EnergyTraining
from pushforward.models.energy.log_partition import annealed_sandwich


def test_bits_know_two_values_and_refuse_others():
    x = torch.tensor([[2.0, 5.0], [3.0, -1.0], [2.0, -1.0]])
    bits = Bits.of(x)
    assert bits.to_model(x).tolist() == [[0, 1], [1, 0], [0, 0]]
    assert torch.equal(bits.to_user(bits.to_model(x)), x)
    with pytest.raises(DataError, match="expected the two values"):
        bits.to_model(x + 1)
    with pytest.raises(DataError, match="expected columns of two values each, got more in x1"):
        Bits.of(torch.tensor([[0.0, 1.0], [1.0, 2.0], [0.0, 3.0]]))
    with pytest.raises(ConfigError, match="expected low below high"):
        Bits(2, low=1.0, high=1.0)


def test_grey_images_count_as_black_and_white():
    images = pf.data.Images.of(torch.randint(0, 17, (30, 4, 4), generator=torch.Generator().manual_seed(0)), levels=17)
    model = pf.energy.rbm(images, hidden=5)
    seen = model.as_seen(images)
    assert set(seen.pixels.unique().tolist()) == {0, 16}
    torch.testing.assert_close(model.log_prob(images.pixels.float()), model.log_prob(seen.pixels.float()))
    assert set(model.sample(20).unique().tolist()) <= {0.0, 16.0}
    table = pf.data.Table.of(torch.eye(3))
    assert pf.energy.rbm(table).as_seen(table) is table


@pytest.mark.parametrize("name", ["boltzmann_machine", "rbm", "energy_model"])
def test_data_or_a_width_and_not_both(name):
    make = getattr(pf.energy, name)
    for arguments in ({}, {"data": torch.eye(3), "features": 3}):
        with pytest.raises(ConfigError, match="expected data or features="):
            make(**arguments)


def test_impossible_settings_are_said():
    with pytest.raises(ConfigError, match="at most 20 numbers for training='exact'"):
        pf.energy.boltzmann_machine(features=21, training="exact")
    with pytest.raises(ConfigError, match="at most 16 bits in one layer"):
        pf.energy.rbm(features=17, hidden=17, training="exact")
    with pytest.raises(ConfigError, match="expected a training among exact, cd, pcd, pseudo"):
        BoltzmannTraining("mcmc")
    with pytest.raises(ConfigError, match="expected a training among pcd, denoising, sliced"):
        EnergyTraining("mcmc")
    with pytest.raises(ConfigError, match="expected a positive blur for denoising"):
        EnergyTraining("denoising", blur=0.0)
    with pytest.raises(ConfigError, match="expected at least 1 step, a positive step_size"):
        EnergyTraining(step_size=0.0)
    with pytest.raises(ConfigError, match="at least 1 chain and step"):
        EnergyModel(pf.latent.Units((2,)), pf.nn.MLP(2, 1), buffer=0)
    with pytest.raises(ConfigError, match="expected an EnergyModel of a ClassEnergy"):
        pf.energy.JointEnergy(pf.energy.energy_model(features=2, width=4), 2)
    with pytest.raises(ConfigError, match="expected labels, got data without"):
        pf.energy.joint_energy(pf.data.Table.of(torch.randn(20, 2)))
    with pytest.raises(ConfigError, match="expected means of shape"):
        pf.energy.RestrictedBoltzmannMachine(Bits(3), 2, means=torch.ones(2))
    with pytest.raises(ConfigError, match="expected at most 20 numbers to visit all states of, got 30"):
        pf.energy.boltzmann_machine(features=30).exact_log_z()
    with pytest.raises(ConfigError, match="expected a layer of at most 16 bits"):
        pf.energy.rbm(features=20, hidden=20).exact_log_z()


def test_a_network_with_more_than_one_output_is_refused():
    model = EnergyModel(pf.latent.Units((2,)), pf.nn.MLP(2, 3, hidden=[4]))
    with pytest.raises(ShapeError, match="expected a network with one output a row"):
        model.energy(torch.zeros(4, 2))


@pytest.mark.parametrize("make", [
    lambda: pf.energy.boltzmann_machine(features=22, sweeps=2),
    lambda: pf.energy.rbm(features=18, hidden=17, sweeps=2),
    lambda: pf.energy.energy_model(features=18, width=4, training="denoising"),
], ids=["spins", "layers", "network"])  # fmt: skip
def test_log_z_is_asked_for_remembered_saved_and_forgotten(make, tmp_path):
    model = make()
    x = model.sample(30)
    assert model.log_prob_kind == "none"
    with pytest.raises(UserError, match=r"call model\.estimate_log_z\(\) first"):
        model.log_prob(x)
    found = model.estimate_log_z(chains=20, temperatures=5, generator=torch.Generator().manual_seed(0))
    again = model.estimate_log_z(chains=20, temperatures=5, generator=torch.Generator().manual_seed(0))
    assert found == again
    assert model.log_prob_kind == "estimate"
    assert model.log_prob(x).isfinite().all()
    pf.save(model, tmp_path / "model.pf")
    copy = pf.load(tmp_path / "model.pf")
    torch.testing.assert_close(copy.log_prob(x), model.log_prob(x))
    pf.fit(model, x, steps=2, settings=pf.training.Settings(bar=False, batch_size=10))
    assert model.log_prob_kind == "none"


def test_log_z_of_independent_bits_is_exact():
    # With W = 0 all weights are the same: the estimate has no error at all.
    model = pf.energy.boltzmann_machine(features=22)
    assert model.estimate_log_z(chains=10, temperatures=2).value == pytest.approx(22 * math.log(2), abs=1e-5)


def test_too_few_chains_or_temperatures():
    model = pf.energy.rbm(features=3, hidden=2)
    with pytest.raises(ConfigError, match="at least 2 temperatures, got 1"):
        model.estimate_log_z(temperatures=1)
    with pytest.raises(ConfigError, match="at least 2 chains"):
        model.estimate_log_z(chains=1, temperatures=3)
    with pytest.raises(UserError, match="expected finite weights"):
        annealed_sandwich(lambda x, beta: beta * x.log(), -torch.ones(5), 0.0, lambda x, beta, source: x, RowGenerator(0, 5), betas=[0.0, 1.0])  # fmt: skip


def test_chains_move_in_training_only_and_no_average_touches_them():
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(1))
    model = pf.energy.energy_model(x, width=4, layers=1, steps=2)
    start = model.replay_buffer.clone()
    model.eval()
    model.objective(model, Batch(x), RowGenerator(0, 200))
    assert torch.equal(model.replay_buffer, start)
    pf.fit(model, x, steps=5, settings=pf.training.Settings(bar=False, ema_decay=0.9))
    moved = model.replay_buffer
    assert not torch.equal(moved, start)
    assert moved.isfinite().all()
    assert model.double().replay_buffer.dtype == torch.float32
    machine = pf.energy.rbm((x > 0).float(), hidden=3)
    pf.fit(machine, (x > 0).float(), steps=5, settings=pf.training.Settings(bar=False, ema_decay=0.9))
    assert set(machine.chains.unique().tolist()) <= {0, 1}


def test_a_training_that_was_stopped_goes_on_with_the_same_chains(tmp_path):
    x = torch.randn(100, 2, generator=torch.Generator().manual_seed(2))
    settings = pf.training.Settings(bar=False, log_every=2, evaluate_every=4, warmup=0)
    model = pf.energy.energy_model(x, width=4, layers=1, steps=2)
    pf.fit(model, x, steps=4, settings=settings, out=tmp_path / "run")
    kept = model.replay_buffer.clone()
    assert torch.equal(pf.load(tmp_path / "run").replay_buffer, kept)
    history = pf.fit(model, x, steps=8, settings=settings, out=tmp_path / "run", resume=True)
    assert history.records[-1]["step"] == 8
    # Stretches of 90 chains moved, four times; the others are bit by bit what they were.
    same = (model.replay_buffer == kept).all(1).float().mean()
    assert 0.75 < same < 0.97


@pytest.mark.parametrize("kind", ["sliced", "denoising", "pcd"])
def test_every_training_gives_gradients_to_all_weights(kind):
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(3))
    model = pf.energy.energy_model(x, training=kind, width=4, layers=1, steps=2)
    model.objective(model, Batch(x), RowGenerator(0, 50)).value.backward()
    # The last constant moves all energies alike, which only the penalty of "pcd" sees.
    named = dict(model.network.named_parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for name, p in named.items() if "head" not in name or "bias" not in name)  # fmt: skip


def test_labels_that_are_not_known_or_not_there():
    model = pf.energy.joint_energy(features=2, classes=3, width=4, steps=2)
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(4))
    model.eval()
    none = model.objective(model, Batch(x, torch.full((6,), -1)), RowGenerator(0, 6)).value
    assert none == 0
    assert model.objective(model, Batch(x), RowGenerator(0, 6)).value == 0
    with pytest.raises(DataError, match="expected a class number from 0 to 2"):
        model.objective(model, Batch(x, torch.full((6,), 3)), RowGenerator(0, 6))


def test_pseudo_likelihood_of_many_places_is_estimated_from_some():
    model = pf.energy.rbm(features=80, hidden=4)
    x = model.sample(400, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        some = model.log_pseudo(model.to_model(x), RowGenerator(0, 400))
    # At the start all bits are fair and nearly independent: each place gives log 1/2.
    assert some.mean().item() == pytest.approx(-80 * math.log(2), rel=0.02)
