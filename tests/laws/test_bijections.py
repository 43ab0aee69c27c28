"""Every bijection: its log det is that of the Jacobian, its two directions undo each other, in batches of any shape.

Oracle: the Jacobian by automatic differentiation in float64, its determinant and inverse from LAPACK; finite differences.
"""

import json

import pytest
import torch
from torch import Tensor

from pushforward.core.bijection import Bijection
from pushforward.core.errors import ShapeError
from pushforward.core.registry import build, describe
from tests.cases import CASES

NAMES = list(CASES["bijections"])
DIRECTIONS = ["forward", "inverse"]


def make(name: str, dtype: torch.dtype = torch.float64) -> Bijection:
    torch.manual_seed(0)
    part = CASES["bijections"][name]()
    assert isinstance(part, Bijection)
    return part.to(dtype)


def points(name: str, direction: str, shape: tuple[int, ...] = (9,)) -> tuple[Tensor, Tensor | None]:
    """Values in the domain of a direction, every third far out, and conditions if there are any; float64."""
    part, generator = make(name), torch.Generator().manual_seed(len(shape))
    condition = None
    if part.condition_shape is not None:
        condition = torch.randn(*shape, *part.condition_shape, generator=generator, dtype=torch.float64)
        if not part.condition_shape:  # numbers of classes, one of which is left for the law of conditions
            condition = torch.randint(3, shape, generator=generator).double()
    z = torch.randn(*shape, *part.event_shape, generator=generator, dtype=torch.float64)
    if name == "logit":
        z = torch.sigmoid(z)
    else:
        z.view(-1, *part.event_shape)[::3] *= 3
    if "circular" in name:
        z = 3 * torch.sin(z)
    if direction == "forward":
        return z, condition
    with torch.no_grad():
        return part.forward(z, condition)[0], condition


def jacobian(part: Bijection, direction: str, value: Tensor, condition: Tensor | None) -> Tensor:
    """d out / d value at one event, as a matrix."""
    matrix = torch.autograd.functional.jacobian(lambda v: getattr(part, direction)(v, condition)[0].flatten(), value)
    return matrix.reshape(-1, value.numel())


def rows(value: Tensor, condition: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
    return list(zip(value, [None] * len(value) if condition is None else condition))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_log_det_is_that_of_the_jacobian(name, direction):
    part, (value, condition) = make(name), points(name, direction)
    _, log_det = getattr(part, direction)(value, condition)
    expected = [torch.linalg.slogdet(jacobian(part, direction, v, c)).logabsdet for v, c in rows(value, condition)]
    torch.testing.assert_close(log_det, torch.stack(expected), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name, direction, dtype):
    # Rounding the outcome once by eps moves the way back by eps |J^-1| |outcome|; a map may round some dozens of times.
    part, exact, (value, condition) = make(name, dtype), make(name), points(name, direction)
    other = DIRECTIONS[1 - DIRECTIONS.index(direction)]
    given = None if condition is None else condition.to(dtype)
    out, there = getattr(part, direction)(value.to(dtype), given)
    again, back = getattr(part, other)(out, given)
    assert out.dtype == there.dtype == dtype
    eps = torch.finfo(dtype).eps
    for i, (v, c) in enumerate(rows(value, condition)):
        inverse = torch.linalg.inv(jacobian(exact, direction, v, c)).abs().sum(1).max()
        allowed = 100 * eps * (1 + v.abs().max() + inverse * (1 + out[i].abs().max()))
        assert (again[i].double() - v).abs().max() <= allowed
        # The log dets are functions of points that differ by as much, with curvature: allow for another factor.
        assert (there[i] + back[i]).abs() <= 100 * allowed


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_batches_of_any_shape(name, direction):
    part, (value, condition) = make(name), points(name, direction, (3, 2))
    out, log_det = getattr(part, direction)(value, condition)
    target = part.output_shape if direction == "forward" else part.event_shape
    assert out.shape == (3, 2, *target)
    assert log_det.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            one, one_log_det = getattr(part, direction)(value[i, j], None if condition is None else condition[i, j])
            assert one_log_det.shape == ()
            torch.testing.assert_close(out[i, j], one, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(log_det[i, j], one_log_det, rtol=1e-9, atol=1e-9)
    for empty in ((0,), (4, 0)):
        nothing = value.new_empty(*empty, *value.shape[2:])
        given = None if condition is None else condition.new_empty(*empty, *condition.shape[2:])
        out, log_det = getattr(part, direction)(nothing, given)
        assert out.shape == (*empty, *target)
        assert log_det.shape == empty


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_differences(name, direction):
    part, (value, condition) = make(name), points(name, direction, (2,))
    parameters = list(part.parameters())
    generator = torch.Generator().manual_seed(1)
    # One random direction in the space of all parameters, and every number of the value and the condition.
    dots = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    value.requires_grad_()
    inputs = [value] if condition is None else [value, condition.requires_grad_()]

    def along(amount: Tensor, *given: Tensor) -> tuple[Tensor, Tensor]:
        state = {key: p + amount * dot for (key, p), dot in zip(part.named_parameters(), dots)}
        return torch.func.functional_call(
            _Directed(part, direction), {f"part.{key}": p for key, p in state.items()}, given
        )

    assert torch.autograd.gradcheck(
        along, (torch.zeros((), dtype=torch.float64, requires_grad=True), *inputs), atol=1e-5, rtol=1e-4
    )


class _Directed(torch.nn.Module):
    """A direction of a bijection as the forward of a module, which is what `functional_call` runs."""

    def __init__(self, part: Bijection, direction: str):
        super().__init__()
        self.part, self.direction = part, direction

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        return getattr(self.part, self.direction)(*given)


@pytest.mark.parametrize("name", NAMES)
def test_the_condition_matters_where_there_is_one(name):
    part, (value, condition) = make(name), points(name, "forward", (4,))
    if condition is None:
        with pytest.raises(ShapeError, match="expected no condition"):
            part.forward(value, torch.zeros(4, 1, dtype=torch.float64))
        return
    value = value.clamp(-1, 1)  # a spline leaves the tails alone, whatever the condition
    changed = part.forward(value, condition + 1)[0] != part.forward(value, condition)[0]
    assert changed.flatten(1).any(1).all()
    for direction in DIRECTIONS:
        with pytest.raises(ShapeError, match="expected a condition of shape"):
            getattr(part, direction)(value)
        if part.condition_shape:
            with pytest.raises(ShapeError, match=r"its last \d dimensions"):
                getattr(part, direction)(value, condition[:, :0])


@pytest.mark.parametrize("name", NAMES)
def test_it_is_rebuilt_from_what_is_written_down(name):
    part, (value, condition) = make(name), points(name, "forward")
    tensors: dict[str, Tensor] = {}
    description = json.loads(json.dumps(describe(part, tensors)))
    torch.manual_seed(123)
    again = build(description, tensors).to(torch.float64)
    again.load_state_dict(part.state_dict())
    for direction in DIRECTIONS:
        expected, got = getattr(part, direction)(value, condition), getattr(again, direction)(value, condition)
        assert all(torch.equal(a, b) for a, b in zip(expected, got))
        value = expected[0].detach()


@pytest.mark.parametrize("name", NAMES)
def test_the_wrong_shape_is_refused(name):
    part, (_, condition) = make(name), points(name, "forward", (3,))
    with pytest.raises(ShapeError, match="expected z of shape"):
        part.forward(torch.zeros(3, *part.event_shape, 5, dtype=torch.float64), condition)
