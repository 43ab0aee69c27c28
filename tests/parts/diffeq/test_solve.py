"""Arguments, shapes, trees and bookkeeping of `solve` and `march`."""

from collections import namedtuple

import pytest
import torch
from jaxtyping import TypeCheckError

from pushforward.core.errors import ConfigError, ShapeError, UserError
from pushforward.core.solver import Solver
from pushforward.parts.diffeq import (
    PID,
    RK4,
    ControlTerm,
    Dopri5,
    Euler,
    Heun,
    Kvaerno5,
    ODETerm,
    SolveError,
    Status,
    march,
    solve,
)
from pushforward.parts.diffeq.fixed import shared_grid


def decay(t, y):
    return -y


class Plain(Solver):
    """Euler's method by somebody else: core interface, times as tensors."""

    order = 1

    def init(self, terms, t0, y0):
        return {"steps": torch.zeros(len(y0), dtype=torch.long)}

    def step(self, terms, t0, t1, y0, state):
        change = sum(term.product(term.vector_field(t0, y0), term.control(t0, t1)) for term in terms)
        return y0 + change, None, {"steps": state["steps"] + 1}


class Line:
    def evaluate(self, t):
        return torch.stack([t, 2 * t], -1)


def test_a_tree_is_solved_like_its_leaves():
    a, b = torch.randn(5, 2, 3), torch.randn(5)
    tree = {"a": a, "rest": [b, (b + 1,)]}

    def field(t, y):
        return {"rest": [y["rest"][0] * t, (y["rest"][1][0] * 0.5,)], "a": -y["a"]}  # keys in another order

    for options in ({}, {"solver": Heun(), "step_size": 0.01}):
        solution = solve(field, tree, [0.0, 0.5, 1.0], **options)
        assert solution.y["a"].shape == (3, 5, 2, 3)
        assert solution.y["rest"][0].shape == (3, 5)
        torch.testing.assert_close(solution.last_y["a"], a * 0.36788, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(solution.last_y["rest"][0], b * 1.64872, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(solution.y["rest"][1][0][-1], (b + 1) * 1.64872, rtol=1e-3, atol=1e-3)


def test_a_named_tuple_stays_one():
    pair = namedtuple("pair", "x speed")
    y = solve(lambda t, y: pair(y.speed, -y.x), pair(torch.ones(2), torch.zeros(2)), [0.0, torch.pi]).last_y
    torch.testing.assert_close(y.x, -torch.ones(2), rtol=0, atol=1e-3)


def test_a_tree_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match="same n"):
        solve(decay, (torch.ones(2, 1), torch.ones(3)), [0.0, 1.0])
    with pytest.raises(ShapeError, match="one dtype"):
        solve(decay, (torch.ones(2, 1), torch.ones(2).double()), [0.0, 1.0])
    with pytest.raises(ShapeError, match="same tree as y"):
        solve(lambda t, y: (y[1], y[0]), (torch.ones(2, 1), torch.ones(2)), [0.0, 1.0])
    with pytest.raises(ShapeError, match="float where float stands"):
        solve(decay, (torch.ones(2, 1), [3.0]), [0.0, 1.0])
    for wrong, named in ((lambda t, y: y["a"], "Tensor where dict of"), (lambda t, y: {"b": y["a"]}, r"of ..b.. where"),
                         (lambda t, y: {"a": (y["a"],)}, "tuple of 1 where Tensor")):  # fmt: skip
        with pytest.raises(ShapeError, match=named):
            solve(wrong, {"a": torch.ones(2, 1)}, [0.0, 1.0])
    with pytest.raises(ConfigError, match="several tensors"):
        solve(ControlTerm(decay, Line()), (torch.ones(2, 1),), [0.0, 1.0])


@pytest.mark.parametrize("options", [{}, {"solver": Euler()}, {"solver": Euler(), "step_size": 0.1}])
@pytest.mark.parametrize("each", [False, True])
def test_no_rows(options, each):
    t = torch.zeros(0, 3) if each else [0.0, 1.0, 2.0]
    solution = solve(decay, torch.zeros(0, 4), t, **options)
    assert solution.y.shape == (3, 0, 4)
    assert solution.last_y.shape == (0, 4)
    assert solution.status.shape == solution.accepted.shape == solution.last_t.shape == (0,)


def test_evaluations_and_steps_are_counted():
    calls = []

    def field(t, y):
        calls.append(1)
        return -y

    y0 = torch.ones(3, 1)
    for options in ({}, {"step_size": 0.1}, {"solver": RK4(), "step_size": 0.1}, {"solver": Plain()}):
        calls.clear()
        for terms in (field, ODETerm(field), [field, decay]):
            calls.clear()
            assert solve(terms, y0, [0.0, 1.0], **options).evaluations == len(calls)
    solution = solve(decay, y0, [0.0, 0.25, 1.0], solver=RK4(), step_size=0.1)
    assert solution.accepted.tolist() == [11] * 3
    assert solution.evaluations == 44
    assert solve(decay, y0, [0.0, 1.0], step_size=0.1).evaluations == 61
    assert solve(decay, y0, torch.tensor([[0.0, 1.0]]).expand(3, 2), step_size=0.1).accepted.tolist() == [10] * 3


@pytest.mark.parametrize("shared", [True, False])
def test_a_solver_that_knows_only_the_interface(shared):
    y0 = torch.tensor([[1.0], [2.0]])
    t = torch.tensor([0.0, 0.5, 1.0]) if shared else torch.tensor([[0.0, 0.5, 1.0], [0.0, 0.4, 0.4]])
    solution = solve(decay, y0, t, solver=Plain(), step_size=0.25 if not shared else None)
    expected = [[1.0, 2.0], [0.5, 1.0], [0.25, 0.5]] if shared else [[1.0, 2.0], [0.5625, 1.275], [0.31640625, 1.275]]
    torch.testing.assert_close(solution.y[..., 0], torch.tensor(expected))
    assert solution.accepted.tolist() == ([2, 2] if shared else [4, 2])
    (end,) = march(decay, y0, [0.0, 1.0], solver=Plain())
    assert torch.equal(end, torch.zeros(2, 1))


def test_gradients_are_recorded_only_where_they_are_enabled():
    weight = torch.ones((), requires_grad=True)
    for options in ({}, {"solver": Heun()}, {"step_size": 0.5}):
        assert solve(lambda t, y: -weight * y, torch.ones(2, 1), [0.0, 1.0], **options).y.requires_grad
        for mode in (torch.no_grad, torch.inference_mode):
            with mode():
                assert not solve(lambda t, y: -weight * y, torch.ones(2, 1), [0.0, 0.5, 1.0], **options).y.requires_grad
        solve(lambda t, y: -weight * y, torch.ones(2, 1), [0.0, 0.5, 1.0], **options).y.sum().backward()


def test_a_field_that_returns_its_argument_or_keeps_it():
    kept = []

    def field(t, y):
        kept.append((y, y.clone()))
        return y

    with torch.no_grad():
        y = solve(field, torch.ones(2, 1, dtype=torch.float64), [0.0, 0.3, 1.0]).y
        torch.testing.assert_close(y[-1], torch.full((2, 1), 2.718281828, dtype=torch.float64), rtol=1e-4, atol=0)
        solve(field, torch.ones(2, 1), [0.0, 0.3, 1.0], solver=RK4(), step_size=0.1)
    assert all(torch.equal(a, b) for a, b in kept)


def test_autocast_may_narrow_the_field():
    linear = torch.nn.Linear(4, 4)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        solution = solve(lambda t, y: linear(y), torch.randn(3, 4), [0.0, 1.0], rtol=1e-1, atol=1e-1)
    assert solution.y.dtype == torch.float32


def test_shared_grid():
    assert shared_grid([0.0, 1.0, 3.0], None) == ([0.0, 1.0, 3.0], [0, 1, 2])
    grid, saves = shared_grid([1.0, 0.0, -0.25], 0.4)
    assert grid == pytest.approx([1.0, 0.6, 0.2, 0.0, -0.25])
    assert saves == [0, 3, 4]
    assert len(shared_grid([0.0, 1.0], 0.1)[0]) == 11  # no sliver of a step from 0.1 having no exact float
    assert shared_grid([0.0, 0.0, 1.0], 1.0) == ([0.0, 0.0, 1.0], [0, 1, 2])


@pytest.mark.parametrize("step_size", [None, 0.1])
def test_repeated_times_repeat_the_state(step_size):
    for t in ([0.0, 0.0, 0.5, 0.5, 1.0, 1.0], torch.tensor([0.0, 0.0, 0.5, 0.5, 1.0, 1.0]).expand(2, 6)):
        for solver in (Dopri5(), Euler()):
            y = solve(decay, torch.tensor([[1.0], [2.0]]), t, solver=solver, step_size=step_size).y
            assert torch.equal(y[0::2], y[1::2])
            assert y[0].flatten().tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t": [0.0]}, "T >= 2"),
        ({"t": torch.zeros(3, 2)}, r"\(T,\) or \(2, T\)"),
        ({"t": [0.0, 1.0, 0.5]}, "times that turn"),
        ({"t": torch.tensor([[0.0, 1.0], [1.0, 0.0]])}, "times that turn"),
        ({"t": [0.0, float("nan")]}, "infinite or NaN"),
        ({"y0": torch.ones(2, 1, dtype=torch.float16)}, "float32 or float64"),
        ({"y0": torch.ones(2, 1, dtype=torch.long)}, "float32 or float64"),
        ({"y0": torch.tensor(1.0)}, r"shape \(n, \*event\)"),
        ({"rtol": -1.0}, "rtol >= 0"),
        ({"atol": 0.0}, "atol > 0"),
        ({"max_steps": 0}, "max_steps >= 1"),
        ({"step_size": -0.1}, "sign comes from t"),
        ({"step_size": PID(), "solver": Euler()}, "adaptive solver"),
        ({"terms": []}, "at least one term"),
        ({"terms": [3.0]}, "function f|terms"),
        ({"terms": lambda t, y: y[:, 0]}, "shape of y"),
        ({"terms": lambda t, y: y * t, "y0": torch.ones(3, 1)}, "trailing dimensions"),
        ({"terms": lambda t, y: y.double()}, "dtype torch.float32"),
        ({"terms": ControlTerm(lambda t, y: y[..., None], Line())}, "as_ode"),
        ({"terms": ControlTerm(lambda t, y: y[:, :1], Line()), "solver": Euler()}, "a column per channel"),
    ],
)
def test_mistakes_are_told(change, message):
    arguments = {"terms": decay, "y0": torch.ones(2, 2), "t": [0.0, 1.0]} | change
    with pytest.raises((UserError, TypeCheckError), match=message) as caught:
        solve(arguments.pop("terms"), arguments.pop("y0"), arguments.pop("t"), **arguments)
    assert isinstance(caught.value, TypeCheckError) or "\n" not in str(caught.value)


def test_too_few_steps_raise_one_sentence():
    with pytest.raises(
        SolveError, match=r"all 2 samples .* got 2 that did not \(2 MAX_STEPS; .* raise max_steps .* throw=False"
    ):
        solve(decay, torch.ones(2, 1), [0.0, 100.0], max_steps=3)


WAYS = {
    "adaptive": {},
    "stiff": {"solver": Kvaerno5()},
    "steps": {"solver": Euler(), "step_size": 0.1},
    "adjoint": {"gradient": "adjoint"},
    "checkpointed": {"gradient": "checkpointed"},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_field_that_is_not_finite_from_the_start_is_told_and_spoils_no_other_sample(way):
    y0 = torch.tensor([[1.0], [-1.0]])
    found = solve(lambda t, y: y.log(), y0, [0.0, 1.0], throw=False, **WAYS[way])
    alone = solve(lambda t, y: y.log(), y0[:1], [0.0, 1.0], **WAYS[way])
    assert found.status.tolist() == [Status.SUCCESS, Status.NON_FINITE]
    assert found.last_t.tolist() == [1.0, 0.0]
    assert found.y[:, 1].tolist() == [[-1.0], [-1.0]]
    assert torch.equal(found.y[:, 0], alone.y[:, 0])
    with pytest.raises(
        SolveError, match=r"got 1 that did not \(1 NON_FINITE; the first is sample 1, good until t = 0 of 0 to 1\)"
    ):
        solve(lambda t, y: y.log(), y0, [0.0, 1.0], **WAYS[way])


@pytest.mark.parametrize("way", WAYS)
def test_a_start_that_is_not_finite_is_no_success(way):
    found = solve(decay, torch.tensor([[1.0], [float("nan")]]), [0.0, 1.0], throw=False, **WAYS[way])
    assert found.status.tolist() == [Status.SUCCESS, Status.NON_FINITE]
    assert found.y[:, 0].isfinite().all()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("t", [[1.0, 1.0], [1.0, 1.0, 1.0]])
def test_a_solve_of_no_length_gives_the_start_and_its_gradient(way, t):
    y0 = torch.tensor([[2.0], [3.0]], requires_grad=True)
    found = solve(decay, y0, t, **WAYS[way])
    assert torch.equal(found.y, y0.expand(len(t), 2, 1))
    assert found.last_t.tolist() == [1.0, 1.0]
    (gradient,) = torch.autograd.grad(found.last_y.sum(), y0)
    assert torch.equal(gradient, torch.ones_like(y0))


def test_a_solution_that_leaves_for_infinity_says_when():
    """y' = y^2 from 1 is 1 / (1 - t)."""
    found = solve(lambda t, y: y**2, torch.ones(1, 1, dtype=torch.float64), [0.0, 0.5, 2.0], throw=False)
    assert found.status.tolist() in ([Status.STEP_UNDERFLOW], [Status.NON_FINITE])
    assert float(found.last_t) == pytest.approx(1.0, abs=1e-4)
    assert float(found.y[1]) == pytest.approx(2.0, rel=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_a_state_without_numbers_stays_one(way):
    found = solve(decay, torch.ones(2, 0), [0.0, 1.0], **WAYS[way])
    assert found.y.shape == (2, 2, 0)
    assert found.status.tolist() == [Status.SUCCESS] * 2


@pytest.mark.parametrize("way", WAYS)
def test_no_times_is_one_sentence(way):
    with pytest.raises(ShapeError, match=r"T >= 2, got \(0,\)"):
        solve(decay, torch.ones(2, 1), [], **WAYS[way])
