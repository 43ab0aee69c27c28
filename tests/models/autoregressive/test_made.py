"""What `made` makes of a table, conditions, what it refuses, and the parts of a run."""

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import UserError
from pushforward.lab.runs.config import Config
from pushforward.lab.runs.run import parts_of
from pushforward.models.autoregressive.columns import ColumnOutputs
from pushforward.parts.distributions.outputs import Bernoulli, Categorical, ColourLogisticMixture, LogisticMixture

BITS = torch.tensor([[i % 2, (i // 2) % 2, i % 3] for i in range(60)]).float()


def test_each_column_gets_the_output_of_its_kind():
    wide = torch.arange(60.0)[:, None] * 3
    table = pf.data.Table.of(torch.cat([BITS * 2 + 5, wide, torch.rand(60, 1)], 1))
    model = pf.autoregressive.made(table, hidden=[16])
    kinds = [type(o).__name__ for o in model.columns.outputs]
    assert kinds == ["Bernoulli", "Bernoulli", "Categorical", "LogisticMixture", "NormalMixture"]
    assert model.log_prob(table.values).isfinite().all()
    x = model.sample(50)
    assert set(x[:, 0].tolist()) <= {5.0, 7.0}
    assert set(x[:, 2].tolist()) <= {5.0, 6.0, 7.0, 8.0, 9.0}
    assert (x[:, 3] >= 0).all()  # counts stay counts


def test_the_first_conditionals_are_the_frequencies():
    model = pf.autoregressive.made((torch.rand(4000, 2) < 0.1).float(), hidden=[8])
    x = model.sample(4000, generator=torch.Generator().manual_seed(0))
    assert ((x.mean(0) - 0.1).abs() < 0.05).all()


def test_a_column_that_never_changes_is_certain_and_no_density():
    model = pf.autoregressive.made(torch.cat([torch.ones(40, 1), BITS[:40]], 1), hidden=[8])
    assert (model.sample(100)[:, 0] == 1).float().mean() > 0.9
    with pytest.raises(UserError, match="drop it"):
        pf.autoregressive.made(torch.full((40, 1), 0.5))


def test_a_class_and_a_measure_as_the_condition():
    label = torch.arange(60.0)[:, None] % 3 + 7
    table = pf.data.Table.of(torch.cat([BITS, label, torch.rand(60, 1)], 1), list("abcde")).given("d", "e")
    model = pf.autoregressive.made(table, hidden=[8])
    assert model.condition_levels == [3, 0]
    assert model.sample(4, torch.tensor([[7.0, 0.2], [9.0, 0.1]])).shape == (4, 2, 3)
    assert model.log_prob(table.values, table.condition).isfinite().all()


def test_known_columns_by_name_broadcast_and_survive_batches():
    table = pf.data.Table.of(BITS, ["a", "b", "c"])
    model = pf.autoregressive.made(table, hidden=[8], orders=2, first=["b"])
    values = torch.tensor([0.0, 1.0, 1.0])
    assert (model.sample((5, 3), given={"b": values})[..., 1] == values).all()
    generator = [torch.Generator().manual_seed(1) for _ in range(2)]
    many = model.sample(300, given={"b": 1.0}, generator=generator[0], temperature=0.5, top_p=0.9)
    few = model.sample(70, given={"b": 1.0}, generator=generator[1], temperature=0.5, top_p=0.9)
    assert torch.equal(many[:70], few)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"outputs": ["binary"]}, "two values"),
        ({"outputs": ["words"]}, "an output among"),
        ({"orders": 0}, "at least 1 order"),
        ({"first": ["nobody"]}, "names of columns"),
        ({"dropout": 1.0}, "dropout"),
        ({"hidden": [0]}, "at least 1"),
    ],
)
def test_made_refuses_in_one_sentence(settings, says):
    with pytest.raises(UserError, match=says):
        pf.autoregressive.made(pf.data.Table.of(BITS), **settings)


def test_draws_refuse_in_one_sentence():
    model = pf.autoregressive.made(BITS, hidden=[8])
    for settings, says in (({"temperature": 0.0}, "temperature above 0"), ({"top_p": 1.5}, "top_p in"),
                           ({"given": {"z": 1.0}}, "columns among"), ({"given": {0: torch.zeros(3)}}, "broadcast"),
                           ({"given": torch.zeros(4)}, "at most 3")):  # fmt: skip
        with pytest.raises(UserError, match=says):
            model.sample(2, **settings)


def test_parts_refuse_in_one_sentence():
    for build, says in (
        (lambda: Categorical(1), "at least 2 levels"),
        (lambda: LogisticMixture(0), "1 component"),
        (lambda: ColumnOutputs([ColourLogisticMixture(2)]), "single numbers"),
        (lambda: ColumnOutputs([Bernoulli()], scale=torch.zeros(1)), "positive"),
        (lambda: pf.nn.MaskedColumns([1, 1], [1, 1], orders=[[0, 0]]), "each of 0"),
        (lambda: pf.autoregressive.MADE(ColumnOutputs([Bernoulli()]), names=["a", "b"]), "a name for each"),
    ):
        with pytest.raises(UserError, match=says):
            build()


def test_a_saved_model_scores_as_before(tmp_path):
    model = pf.autoregressive.made(pf.data.Table.of(BITS), hidden=[8], orders=3).eval()
    pf.save(model, tmp_path / "made.pf")
    assert torch.equal(pf.load(tmp_path / "made.pf").log_prob(BITS), model.log_prob(BITS))


def test_runs_on_a_table_with_official_parts_are_tested_on_them(tmp_path, monkeypatch):
    numpy = pytest.importorskip("numpy")
    (tmp_path / "debd").mkdir()
    parts = {part: numpy.random.default_rng(i).integers(0, 2, (12 + i, 16)).astype("uint8")
             for i, part in enumerate(("train", "valid", "test"))}  # fmt: skip
    numpy.savez(tmp_path / "debd" / "nltcs.npz", **parts)
    monkeypatch.setenv("PUSHFORWARD_DATA", str(tmp_path))
    config = Config(
        data="nltcs", model="made", recipe=None, data_options={}, options={}, settings={}, seed=0, minutes=None, steps=1
    )
    assert [len(part) for part in parts_of(config, pf.data.load("nltcs"))] == [12, 13, 14]
