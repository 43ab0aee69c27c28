"""C1, MADE: probabilities sum to one, nothing sees itself, draws have the frequencies, cached draws are the naive ones.

Oracles: enumeration, autodiff, quadrature, chi-square, and a loop that evaluates the whole network for every column.
"""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

import pushforward as pf
from pushforward.core.errors import UserError
from pushforward.core.random import RowGenerator
from pushforward.models.autoregressive.columns import ColumnOutputs
from pushforward.models.autoregressive.made import MADE, one_order_a_batch
from pushforward.parts.distributions.outputs import Bernoulli, Categorical, LogisticMixture, NormalMixture

BUDGET = 1e-5


def stirred(model: MADE, scale: float = 1.0, seed: int = 0) -> MADE:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(scale * torch.randn(p.shape, generator=generator))
    return model.double().eval()


def binary(orders=None, **settings) -> MADE:
    return stirred(MADE(ColumnOutputs([Bernoulli()] * 8), [12, 10], orders=orders, **settings))


ORDERS = [[0, 1, 2, 3], [2, 0, 3, 1], [3, 2, 1, 0]]


def mixed(orders=ORDERS) -> MADE:
    # In the user's units: 10 or 20; 3, 4, 5; a measure; 0 .. 3.
    loc, scale = torch.tensor([10.0, 3.0, -1.0, 0.0]), torch.tensor([10.0, 1.0, 2.0, 1.0])
    outputs = [Bernoulli(), Categorical(3), NormalMixture(2), LogisticMixture(2, levels=4)]
    return stirred(MADE(ColumnOutputs(outputs, loc, scale), [16, 12], orders=orders), 0.6)


def discrete() -> MADE:
    loc, scale = torch.tensor([10.0, 3.0, 0.0]), torch.tensor([10.0, 1.0, 1.0])
    outputs = [Bernoulli(), Categorical(3), LogisticMixture(2, levels=4)]
    return stirred(MADE(ColumnOutputs(outputs, loc, scale), [16], orders=[[0, 1, 2], [2, 0, 1]]), 0.8)


def all_rows(*values) -> torch.Tensor:
    return torch.tensor(list(itertools.product(*values)), dtype=torch.float64)


@pytest.mark.parametrize("orders", [None, [[3, 1, 0, 2, 7, 6, 5, 4], list(range(8))]])
def test_eight_bits_sum_to_one(orders):
    total = binary(orders).log_prob(all_rows(*[[0, 1]] * 8)).exp().sum()
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)


def test_mixed_levels_sum_to_one():
    total = discrete().log_prob(all_rows([10, 20], [3, 4, 5], range(4))).exp().sum()
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)


def test_a_density_integrates_to_one():
    outputs = [NormalMixture(2), NormalMixture(1)]
    model = stirred(MADE(ColumnOutputs(outputs, torch.tensor([5.0, 0.0]), torch.tensor([3.0, 0.5])), [8]), 0.2)
    # The trapezium rule of a smooth function that has fallen to nothing at the ends.
    a, b = (torch.linspace(c - r, c + r, 401, dtype=torch.float64) for c, r in ((5, 50), (0, 8)))
    density = model.log_prob(torch.cartesian_prod(a, b)).exp().reshape(401, 401)
    assert abs(torch.trapezoid(torch.trapezoid(density, b), a).item() - 1) < 1e-6


@pytest.mark.parametrize("condition", [0, 2])
def test_no_output_sees_itself_or_what_comes_later(condition):
    widths, sizes = [1, 3, 1, 1], [1, 3, 6, 6]
    torch.manual_seed(0)
    network = pf.nn.MaskedColumns(widths, sizes, [16, 12], "tanh", condition, ORDERS).double()
    x = torch.randn(sum(widths), dtype=torch.float64)
    given = torch.randn(1, condition, dtype=torch.float64) if condition else None
    of_input, of_output = (np.repeat(np.arange(4), counts) for counts in (widths, sizes))
    for k, order in enumerate(ORDERS):
        jacobian = torch.autograd.functional.jacobian(lambda v, k=k: network(v[None], given, order=k)[0], x).numpy()
        place = np.argsort(order)
        before = place[of_input][None, :] < place[of_output][:, None]
        assert (jacobian[~before] == 0).all()
        assert (jacobian[before] != 0).all()  # and all that may be seen is seen


def test_several_orders_are_the_mean_of_the_probabilities():
    model, x = mixed(), mixed().sample(50, generator=torch.Generator().manual_seed(0))
    each = np.stack([model.log_prob_of_order(x, order=k).detach().numpy() for k in range(3)])
    ours = model.log_prob(x).detach().numpy()
    np.testing.assert_allclose(np.exp(ours), np.exp(each).mean(0), rtol=1e-10)
    assert (ours > each.mean(0)).all()  # Jensen: the mean of the logarithms is less


def test_draws_have_their_probabilities():
    model, n = discrete(), 20_000
    rows = all_rows([10, 20], [3, 4, 5], range(4))
    mass = model.log_prob(rows).exp().detach().numpy()
    x = model.sample(n, generator=torch.Generator().manual_seed(3))
    code = ((x[:, 0] / 10 - 1) * 12 + (x[:, 1] - 3) * 4 + x[:, 2]).round().long()
    often = mass * n > 5
    seen, expected = (np.append(v[often], v[~often].sum()) for v in (np.bincount(code, minlength=24), mass * n))
    keep = expected > 0
    assert stats.chisquare(seen[keep], expected[keep]).pvalue > BUDGET


@pytest.mark.parametrize("order", range(3))
def test_cached_draws_are_the_naive_ones(order):
    model, n = mixed([ORDERS[order]]), 30
    cached = model.sample(n, generator=torch.Generator().manual_seed(4))
    rows = RowGenerator.of(torch.Generator().manual_seed(4), n)
    rows.uniform(dtype=torch.float64)  # the one that picks an order
    u, columns = rows.uniform(4, 2, dtype=torch.float64), model.columns
    y = torch.zeros(n, 4, dtype=torch.float64)
    for i in ORDERS[order]:
        parameters = model.network(columns.encode(y)).split(columns.sizes, 1)[i]
        y[:, i] = columns.outputs[i].sample(parameters, u[:, i, : columns.outputs[i].uniforms])
    torch.testing.assert_close(cached, columns.to_user(y), rtol=1e-10, atol=1e-10)


def test_given_columns_leave_the_exact_conditional():
    # Column 0 leads in the first order only, columns 0 and 2 in both: the two orders then weigh by what they say of them.
    model, n = discrete(), 20_000
    x = model.sample(n, given={0: 20.0, 2: 1.0}, generator=torch.Generator().manual_seed(5))
    assert (x[:, [0, 2]] == torch.tensor([20.0, 1.0])).all()
    # Only [2, 0, 1] begins with both.
    rows = all_rows([20], [3, 4, 5], [1])
    mass = model.log_prob_of_order(rows, order=1).softmax(0).detach().numpy()
    assert stats.chisquare(np.bincount((x[:, 1] - 3).long(), minlength=3), mass * n).pvalue > BUDGET
    with pytest.raises(UserError, match="come first in one of the orders"):
        model.sample(2, given={1: 3.0})


def test_orders_weigh_by_what_they_say_of_the_known():
    model, n = binary([list(range(8)), [0, 7, 6, 5, 4, 3, 2, 1]]), 20_000
    x = model.sample(n, given=torch.tensor([1.0]), generator=torch.Generator().manual_seed(6))
    rows = all_rows([1], *[[0, 1]] * 7)
    mass = model.log_prob(rows).softmax(0).detach().numpy()
    seen = np.bincount((x[:, 1:] @ 2.0 ** torch.arange(6, -1, -1, dtype=torch.float64)).long(), minlength=128)
    often = mass * n > 5
    seen, expected = (np.append(v[often], v[~often].sum()) for v in (seen, mass * n))
    assert stats.chisquare(seen, expected).pvalue > BUDGET


def test_training_takes_one_order_and_evaluation_all():
    model, x = mixed(), mixed().sample(20, generator=torch.Generator().manual_seed(0))
    batch = pf.Batch(x)
    each = [-model.log_prob_of_order(x, order=k).mean().item() for k in range(3)]
    assert one_order_a_batch(model, batch, RowGenerator(0, 20)).value.item() == -model.log_prob(x).mean().item()
    model.train()
    values = {one_order_a_batch(model, batch, RowGenerator(seed, 20)).value.item() for seed in range(40)}
    assert values == set(each)
