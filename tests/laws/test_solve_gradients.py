"""D2: all four gradients of a solve are the derivatives of what was solved.

Oracles: finite differences (gradcheck), derivatives of closed forms with the matrix exponential, and autograd through
steps written out here.
"""

from functools import partial

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor, nn

from pushforward.core.errors import ConfigError
from pushforward.parts.diffeq import (
    RK4,
    Bosh3,
    ControlTerm,
    Dopri5,
    Euler,
    Heun,
    Kvaerno3,
    SolveError,
    Tsit5,
    check_gradients,
    solve,
)
from pushforward.parts.diffeq.reversible import COUPLING

RULES = ("direct", "checkpointed", "adjoint", "reversible")
TIGHT = {"solver": Tsit5(), "rtol": 1e-9, "atol": 1e-9}
SHARED = [0.1, 0.4, 0.41, 1.3]
STEPS = [{"solver": Tsit5()}, {"solver": Bosh3(), "rtol": 1e-3}, {"solver": Heun(), "step_size": 0.03},
         {"solver": Dopri5(), "step_size": 0.2}, {"solver": Euler()}]  # fmt: skip
OWN = [[0.1, 0.4, 0.45, 1.3], [-0.5, -0.4, 1.0, 1.2], [2.0, 2.1, 2.15, 2.2]]


def tensor(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def wave(weight: Tensor, t: Tensor, y: Tensor) -> Tensor:
    """Nonlinear and dependent on time."""
    return torch.sin(y @ weight) * torch.cos(2 * t)[:, None] + 0.2 * y


def linear(weight: Tensor, t: Tensor, y: Tensor) -> Tensor:
    return y @ weight


def options_of(rule: str, adaptive: bool) -> dict:
    """Adaptive steps at a tolerance below that of the test; given steps so short that the adjoint is as exact."""
    if adaptive:
        return {"gradient": rule, **TIGHT}
    return {"gradient": rule, "solver": Dopri5(), "step_size": 0.04 if rule == "adjoint" else 0.11}


@pytest.mark.parametrize(("field", "times"), [(wave, "shared"), (wave, "own"), (wave, "backwards"), (linear, "one")])
@pytest.mark.parametrize("kind", ["adaptive", "fixed"])
@pytest.mark.parametrize("rule", RULES)
def test_gradients_are_finite_differences(rule, kind, field, times):
    """To the start, the parameters and the times, of a nonlinear function of all saved states."""
    if rule == "reversible" and kind == "adaptive":
        pytest.skip("reversible steps are of given size")
    options = options_of(rule, kind == "adaptive")
    t = {"shared": SHARED, "own": OWN, "backwards": SHARED[::-1], "one": [0.3, 1.0]}[times]
    values = [torch.randn(3, 2), 0.7 * torch.randn(2, 2), torch.tensor(t)]
    y0, weight, t = (value.double().requires_grad_() for value in values)
    mix = torch.randn(t.shape[-1], 3, 2, dtype=torch.float64)

    def loss(y0: Tensor, weight: Tensor, t: Tensor) -> Tensor:
        found = solve(partial(field, weight), y0, t, **options)
        return (mix * found.y**2).sum() + found.last_y.sum()

    arguments = [y0, weight, t]
    found = torch.autograd.grad(loss(*arguments), arguments)
    length = 1e-6 if kind == "fixed" else 1e-3  # adaptive solves are smooth up to their tolerance only
    for gradient, argument in zip(found, arguments):
        move = torch.randn_like(argument)
        values = []
        for size in (1, -1, 2, -2):
            moved = [x + size * length * move if x is argument else x for x in arguments]
            with torch.no_grad():
                values.append(float(loss(*moved)))
        measured = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * length)
        assert float((gradient * move).sum()) == pytest.approx(measured, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_gradcheck(rule):
    """PyTorch's own, at few steps: every entry of every argument."""
    options = {"solver": RK4(), "step_size": 0.2} if rule != "adjoint" else {"solver": Tsit5(), "step_size": 0.1}
    y0, weight, t = torch.randn(2, 2).double(), torch.randn(2, 2).double(), tensor([0.1, 0.33, 0.95])

    def run(y0: Tensor, weight: Tensor, t: Tensor) -> Tensor:
        return solve(partial(wave, weight), y0, t, gradient=rule, **options).y[1:]

    arguments = [value.requires_grad_() for value in (y0, weight, t)]
    assert torch.autograd.gradcheck(run, arguments, eps=1e-6, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_gradients_of_the_matrix_exponential(rule):
    """y = exp((sin t - sin t_0) A) y_0, differentiated in closed form."""
    y0, weight, t = torch.randn(3, 3).double(), torch.randn(3, 3).double(), tensor(OWN)
    arguments = [value.requires_grad_() for value in (y0, weight, t)]
    options = {"solver": Tsit5(), "step_size": 0.04} if rule == "reversible" else TIGHT
    found = solve(lambda t, y: torch.cos(t)[:, None] * (y @ weight.T), y0, t, gradient=rule, **options).y
    turned = torch.sin(t) - torch.sin(t[:, :1])
    truth = torch.einsum("ntij,nj->tni", torch.matrix_exp(turned[..., None, None] * weight), y0)
    mix = torch.randn_like(truth)
    for mine, exact in zip(
        torch.autograd.grad((found * mix).sum(), arguments), torch.autograd.grad((truth * mix).sum(), arguments)
    ):
        torch.testing.assert_close(mine, exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("times", [SHARED, OWN, OWN[0][::-1]], ids=["shared", "own", "backwards"])
@pytest.mark.parametrize("options", STEPS)
def test_checkpointed_is_direct(options, times):
    """The same steps, so the same gradients to rounding."""
    y0, weight, t = torch.randn(3, 2).double(), torch.randn(2, 2).double(), tensor(times)
    arguments = [value.requires_grad_() for value in (y0, weight, t)]
    mix, both = torch.randn(4, 3, 2, dtype=torch.float64), []
    for rule in ("direct", "checkpointed"):
        found = solve(partial(wave, weight), y0, t, gradient=rule, **options)
        both.append((found.y, *torch.autograd.grad((mix * found.y).sum(), arguments)))
    for one, other in zip(*both):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_checkpointed_implicit_steps():
    """To the accuracy of Newton's iteration: gradients of a stiff equation by the implicit function theorem."""
    y0, speed = tensor([[1.0], [0.2]]).requires_grad_(), tensor(200.0).requires_grad_()
    exact = [torch.exp(-speed * 0.01) * y0.sum(), torch.exp(-speed * 0.02) * y0.sum()]
    found = solve(lambda t, y: -speed * y, y0, [0.0, 0.01, 0.02], solver=Kvaerno3(), rtol=1e-5, gradient="checkpointed")
    mine = torch.autograd.grad(found.y[1:].sum(), [y0, speed])
    for one, other in zip(mine, torch.autograd.grad(sum(exact), [y0, speed])):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_reversible_is_autograd_through_the_reversible_steps():
    """The coupling written out for Heun's method, forward and differentiated by autograd."""
    y0, weight = torch.randn(3, 2).double().requires_grad_(), torch.randn(2, 2).double().requires_grad_()
    h, steps = 0.1, 12

    def heun(t: float, h: float, y: Tensor) -> Tensor:
        first = wave(weight, tensor([t] * 3), y)
        return h / 2 * (first + wave(weight, tensor([t + h] * 3), y + h * first))

    y = z = y0
    kept = [y0]
    for i in range(steps):
        t = 0.3 + i * h
        y = COUPLING * y + (1 - COUPLING) * z + heun(t, h, z)
        z = z - heun(t + h, -h, y)
        kept += [y] if i in (4, 11) else []
    truth = torch.stack(kept)
    found = solve(partial(wave, weight), y0, [0.3, 0.8, 1.5], solver=Heun(), step_size=h, gradient="reversible").y
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-12)
    mix = torch.randn_like(truth)
    for mine, exact in zip(
        torch.autograd.grad((found * mix).sum(), [y0, weight]), torch.autograd.grad((truth * mix).sum(), [y0, weight])
    ):
        torch.testing.assert_close(mine, exact, rtol=0, atol=1e-10)


@pytest.mark.parametrize("solver", [Euler(), Heun(), Bosh3(), RK4()], ids=lambda solver: type(solver).__name__)
def test_reversible_steps_have_the_order_of_the_solver(solver):
    weight, y0 = torch.randn(2, 2).double(), torch.randn(2, 2).double()
    truth = solve(partial(wave, weight), y0, [0.0, 1.0], **{**TIGHT, "rtol": 1e-11, "atol": 1e-12}).last_y
    errors = [
        float((solve(partial(wave, weight), y0, [0.0, 1.0], solver=solver, step_size=1 / n, gradient="reversible").last_y
               - truth).norm()) for n in (32, 64)
    ]  # fmt: skip
    assert torch.log2(tensor(errors[0] / errors[1])) > solver.order - 0.3


# --- what a field uses ---


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.inner(torch.cat([y, t[:, None]], 1))


def module() -> tuple:
    network = Network()
    return network, list(network.parameters())


def method_of_a_module() -> tuple:
    network = Network()
    return network.forward, list(network.parameters())


def closure_over_leaves() -> tuple:
    a, b = torch.randn(2, 2).double().requires_grad_(), torch.randn(3, 1).double().requires_grad_()
    return lambda t, y: torch.tanh(y @ a) + b * t[:, None], [a, b]


def closure_over_results() -> tuple:
    """An encoder's output, and a leaf: neither depends on the other."""
    network, a = nn.Linear(2, 2).double(), torch.randn(2, 2).double().requires_grad_()
    code = torch.tanh(network(torch.randn(3, 2).double()))
    return lambda t, y: torch.tanh(y @ a + code), [a, *network.parameters()]


def custom_function() -> tuple:
    a = torch.randn(2, 2).double().requires_grad_()
    b = torch.tanh(a)
    return lambda t, y: torch.sin(y @ Double.apply(b)), [a]


def closure_over_a_result_and_its_source() -> tuple:
    a = torch.randn(2, 2).double().requires_grad_()
    b = torch.matrix_exp(a)
    c = b[0] * a.sum()
    return lambda t, y: torch.tanh(y @ a) + 0.3 * torch.sin(y @ b) * c, [a]


def times_as_a_parameter() -> tuple:
    network = Network()
    return partial(lambda f, t, y: f(t, y) * 0.5, network), list(network.parameters())


def partly_used() -> tuple:
    """A parameter that no field uses gets no gradient, like in autograd."""
    network = nn.ModuleDict({"used": Network(), "idle": nn.Linear(1, 1)})
    return lambda t, y: network["used"](t, y), list(network["used"].parameters())


GLOBAL = nn.Linear(2, 2)


def test_check_gradients_finds_a_module_among_the_globals():
    """As it stands in a script; float32 before and after."""
    report = check_gradients(lambda t, y: torch.tanh(GLOBAL(y)), torch.randn(3, 2), [0.0, 1.0], directions=1)
    assert report.ok, str(report)
    assert len(report.rows) == 3
    assert GLOBAL.weight.dtype == torch.float32


def field_without_state() -> tuple:
    a = torch.randn(3, 2).double().requires_grad_()
    return lambda t, y: a * torch.cos(t)[:, None], [a]


FIELDS = [module, method_of_a_module, closure_over_leaves, closure_over_results, closure_over_a_result_and_its_source, custom_function,
          times_as_a_parameter, partly_used, field_without_state]  # fmt: skip


@pytest.mark.parametrize("build", FIELDS)
@pytest.mark.parametrize("rule", RULES[1:])
def test_whatever_the_field_uses_gets_its_gradient(rule, build):
    field, parameters = build()
    y0 = torch.randn(3, 2).double().requires_grad_()
    mix = torch.randn(3, 3, 2, dtype=torch.float64)
    fine = {"solver": Tsit5(), "step_size": 0.05} if rule == "reversible" else TIGHT
    exact, mine = (
        torch.autograd.grad((mix * solve(field, y0, [0.0, 0.4, 1.0], gradient=kind, **options).y).sum(),
                            [y0, *parameters], retain_graph=True)
        for kind, options in (("direct", TIGHT), (rule, fine))
    )  # fmt: skip
    for one, other in zip(mine, exact):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_a_state_of_several_tensors(rule):
    a = torch.randn(2, 2).double().requires_grad_()
    y0 = {"x": torch.randn(3, 2).double().requires_grad_(), "s": torch.zeros(3).double()}
    options = {"solver": RK4(), "step_size": 0.05}
    found = solve(lambda t, y: {"x": torch.sin(y["x"] @ a), "s": y["x"].square().sum(1)}, y0, [0.0, 0.5, 1.0],
                  gradient=rule, **options)  # fmt: skip
    exact = solve(lambda t, y: {"x": torch.sin(y["x"] @ a), "s": y["x"].square().sum(1)}, y0, [0.0, 0.5, 1.0], **TIGHT)
    for one, other in zip(
        *(torch.autograd.grad(y["s"][1:].sum() + y["x"][-1].sum(), [a, y0["x"]]) for y in (found.y, exact.y))
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rule", ["checkpointed", "reversible"])
def test_a_controlled_equation(rule):
    """The increments of the path, and gradients to the path, which the field does not see."""
    slope = torch.randn(2, 2).double().requires_grad_()

    class Path:
        def evaluate(self, t: Tensor) -> Tensor:
            return torch.sin(t[:, None] * slope[0]) + slope[1] * t[:, None]

    term = ControlTerm(lambda t, y: torch.stack([torch.sin(y), torch.cos(t[:, None] * y)], -1), Path())
    y0 = torch.randn(3, 2).double().requires_grad_()
    mine, exact = (
        torch.autograd.grad(solve(term, y0, [0.0, 0.3, 1.0], solver=RK4(), step_size=0.05, gradient=kind).y.sum(), [y0, slope])
        for kind in (rule, "direct")
    )  # fmt: skip
    for one, other in zip(mine, exact):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


# --- every sample on its own ---


@pytest.mark.parametrize("rule", RULES)
def test_the_gradient_of_a_sample_does_not_depend_on_the_others(rule):
    """Also beside one that is a hundred times stiffer, in the parameters too."""
    y0, t = torch.randn(4, 2).double(), tensor([*OWN, [0.0, 0.1, 1.0, 1.1]])
    speed, weight = tensor([1.0, 0.3, 30.0, 2.0]), torch.randn(4, 2, 2).double()
    options = {"rtol": 1e-5, "atol": 1e-7} if rule != "reversible" else {"solver": RK4(), "step_size": 0.05}

    def gradients(rows: list[int]) -> tuple[Tensor, ...]:
        start, own = y0[rows].requires_grad_(), weight[rows].requires_grad_()
        field = lambda t, y: torch.tanh(torch.einsum("nij,nj->ni", own, y)) * speed[rows, None] * torch.cos(t)[:, None]  # noqa: E731
        y = solve(field, start, t[rows], gradient=rule, **options).y
        return torch.autograd.grad((y**2).sum(), [start, own])

    together = gradients([0, 1, 2, 3])
    for i in range(4):
        for whole, alone in zip(together, gradients([i])):
            torch.testing.assert_close(whole[i : i + 1], alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rule", ["direct", "checkpointed", "adjoint"])
def test_a_sample_that_blows_up_spoils_no_gradient(rule):
    """y' = a y^2 from y0 is y0 / (1 - a y0 t); dy/da = y^2 t where it exists."""
    y0, a = tensor([[0.1], [2.0], [-1.0]]).requires_grad_(), tensor(1.0).requires_grad_()
    found = solve(lambda t, y: a * y**2, y0, [0.0, 0.25, 1.0], gradient=rule, throw=False, rtol=1e-6, atol=1e-6)
    kept = found.y[:, [0, 2]]
    start, rate = torch.autograd.grad(kept[1:].sum(), [y0, a])
    exact = [y0[i, 0] / (1 - y0[i, 0] * s) for i in (0, 2) for s in (0.25, 1.0)]
    torch.testing.assert_close(rate, sum(y**2 * s for y, s in zip(exact, [0.25, 1.0] * 2)), rtol=1e-4, atol=1e-5)
    assert start.isfinite().all()
    assert start[1] == 0


@pytest.mark.parametrize("kind", ["adaptive", "fixed"])
@pytest.mark.parametrize("rule", RULES)
def test_padded_times_hold_the_last_state(rule, kind):
    """A row with fewer times gives what it gives alone, and its padding gets no gradient."""
    if rule == "reversible" and kind == "adaptive":
        kind = "fixed"
    options = {**options_of(rule, kind == "adaptive"), "gradient": rule}
    nan = float("nan")
    weight = torch.randn(2, 2).double().requires_grad_()
    y0, t = torch.randn(3, 2).double(), tensor([[0.1, 0.5, nan, nan], [0.0, 0.2, 0.7, 1.0], [0.3, nan, nan, nan]])
    t.requires_grad_()
    found = solve(partial(wave, weight), y0, t, **options)
    alone = solve(partial(wave, weight), y0[:1], [0.1, 0.5], **options)
    torch.testing.assert_close(found.y[:2, 0], alone.y[:, 0], rtol=0, atol=1e-12)
    assert torch.equal(found.y[2:, 0], found.y[1, 0].expand(2, 2))
    assert torch.equal(found.y[:, 2], y0[2].expand(4, 2))
    (to_t,) = torch.autograd.grad(found.y.sum(), t)
    assert to_t.isfinite().all()
    assert (to_t[t.isnan()] == 0).all()
    slope = 3 * wave(weight, tensor([0.5]), found.y[1, :1]).sum()  # the last real time stands for itself and two others
    torch.testing.assert_close(to_t[0, 1], slope.detach(), rtol=1e-5, atol=1e-6)


# --- what cannot be right is said ---


def test_an_equation_that_forgets_its_past_is_not_solved_backwards_in_silence():
    y0 = torch.ones(2, 1, dtype=torch.float64).requires_grad_()
    found = solve(lambda t, y: -30 * (y - torch.cos(t)[:, None]), y0, [0.0, 2.0], gradient="adjoint")
    with pytest.raises(SolveError, match=r"gradient=\"checkpointed\""):
        found.y[-1].sum().backward()
    with pytest.raises(SolveError, match="2 of 2 samples"):
        solve(lambda t, y: -30 * (y - torch.cos(t)[:, None]), y0, [0.0, 2.0], gradient="reversible", solver=RK4(),
              step_size=0.02)  # fmt: skip
    shrunk = solve(lambda t, y: -20 * y.float().to(y), y0.float(), [0.0, 0.3], gradient="reversible", solver=Dopri5(),
                   step_size=0.0003)  # fmt: skip
    torch.autograd.grad(shrunk.y[-1].sum(), y0)
    found = solve(lambda t, y: -30 * (y - torch.cos(t)[:, None]), y0, [0.0, 2.0], gradient="checkpointed")
    found.y[-1].sum().backward()
    assert y0.grad is not None
    assert float(y0.grad.abs().max()) < 1e-4


def test_what_is_not_supported_is_said():
    y0, a = torch.ones(2, 1), torch.ones(()).requires_grad_()
    with pytest.raises((ConfigError, TypeCheckError), match="'backsolve'"):
        solve(lambda t, y: -y, y0, [0.0, 1.0], gradient="backsolve")
    with pytest.raises(ConfigError, match="steps of given size"):
        solve(lambda t, y: -y, y0, [0.0, 1.0], gradient="reversible")
    with pytest.raises(ConfigError, match="explicit solver"):
        solve(lambda t, y: -y * a, y0, [0.0, 1.0], gradient="adjoint", solver=Kvaerno3())

    b = a * 1
    with pytest.raises(ConfigError, match=r"custom torch.autograd.Function"):
        solve(lambda t, y: -y * Double.apply(b) * a, y0, [0.0, 1.0], gradient="adjoint")
    late = solve(lambda t, y: -y if t[0] < 0.5 else -y * a, y0.clone().requires_grad_(), [0.0, 1.0], gradient="adjoint")
    with pytest.raises(ConfigError, match="same tensors at all times"):
        late.last_y.sum().backward()
    twice = solve(lambda t, y: -y * a, y0, [0.0, 1.0], gradient="adjoint")
    (first,) = torch.autograd.grad(twice.last_y.sum(), a, create_graph=True)
    with pytest.raises(ConfigError, match="second derivatives"):
        first.backward()


def test_a_parameter_that_changed_since_is_noticed():
    a = torch.ones(1).requires_grad_()
    for rule in RULES[1:]:
        found = solve(lambda t, y: -y * a, torch.ones(2, 1), [0.0, 1.0], gradient=rule, solver=RK4(), step_size=0.1)
        with torch.no_grad():
            a.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            found.last_y.sum().backward()


@pytest.mark.parametrize("rule", RULES)
def test_check_gradients_tells_right_from_wrong(rule):
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    options = {"gradient": rule, "solver": RK4(), "step_size": 0.1, "directions": 1}
    y0, before = torch.randn(4, 2), [p.clone() for p in network.parameters()]
    report = check_gradients(lambda t, y: network(y) * t[:, None], y0, [0.0, 0.5, 1.0], **options)
    assert report.ok, str(report)
    assert {row[0] for row in report.rows} == {"y0", "t", "parameters"}
    assert "relative error" in str(report)
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters()))
    wrong = check_gradients(lambda t, y: network(y) + (y - y.detach()), y0, [0.0, 0.5, 1.0], **options)
    assert not wrong.ok
    assert wrong.error > 0.01


@pytest.mark.parametrize(("row", "message"), [([0.0, None, 1.0], "after a NaN in row 1"), ([None, None, None], "got none in row 1"),
                                              ([0.0, 2.0, 1.0], "times that turn in row 1")])  # fmt: skip
def test_times_that_make_no_sense_are_refused(row, message):
    t = tensor([[0.0, 1.0, 2.0], [float("nan") if value is None else value for value in row]])
    with pytest.raises(ConfigError, match=message):
        solve(lambda t, y: -y, torch.ones(2, 1, dtype=torch.float64), t)
