"""D1: an event ends each sample's solve at its own time, with the gradients of that time.

Oracles: closed forms of a falling body, of a bouncing ball and of the harmonic oscillator; scipy's events; finite
differences.
"""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from pushforward.parts.diffeq import PID, Event, Status, solve
from tests.cases import CASES

SOLVERS = CASES["solvers"]
ADAPTIVE = [name for name, build in SOLVERS.items() if build().adaptive]
TIGHT = {"rtol": 1e-10, "atol": 1e-10}


def tensor(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def turn(t: Tensor, y: Tensor) -> Tensor:
    return torch.stack([y[:, 1], -y[:, 0]], -1)


def height(t: Tensor, y: Tensor) -> Tensor:
    return y[:, 0]


@pytest.mark.parametrize("name", ADAPTIVE)
def test_bodies_that_fall_reach_the_ground_when_they_must(name):
    """h + v t - g t^2 / 2 = 0 at t = (v + sqrt(v^2 + 2 g h)) / g, there with the speed -sqrt(v^2 + 2 g h)."""
    y0 = tensor([[1.0, 0.0], [30.0, -1.0], [0.2, 3.0], [5.0, 40.0]]).requires_grad_()
    gravity = tensor(9.81).requires_grad_()

    def fall(t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([y[:, 1], -gravity.expand(len(y))], -1)

    found = solve(fall, y0, [0.0, 0.5, 20.0], solver=SOLVERS[name](), event=Event(height), **TIGHT)
    speed = (y0[:, 1] ** 2 + 2 * gravity * y0[:, 0]).sqrt()
    truth = (y0[:, 1] + speed) / gravity
    assert found.status.tolist() == [Status.EVENT] * 4
    torch.testing.assert_close(found.event_t, truth, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.last_y, torch.stack([torch.zeros_like(speed), -speed], -1), rtol=0, atol=1e-8)
    torch.testing.assert_close(found.last_t, found.event_t)
    assert torch.equal(found.y[-1], found.last_y)
    late = truth.detach() < 0.5
    assert late.tolist() == [True, False, False, False]
    torch.testing.assert_close(found.y[1, 0], found.last_y[0])  # a save time after the event holds the state there
    torch.testing.assert_close(found.y[1, 1:, 0], (y0[:, 0] + 0.5 * y0[:, 1] - gravity / 8)[1:], rtol=0, atol=1e-8)
    weight = tensor([1.0, -0.5, 2.0, 0.7])
    for mine, exact in ((found.event_t, truth), (found.last_y[:, 1], -speed), (found.y[1, :, 1], torch.where(late, -speed, y0[:, 1] - gravity / 2))):  # fmt: skip
        mine = torch.autograd.grad((mine * weight).sum(), [y0, gravity], retain_graph=True)
        exact = torch.autograd.grad((exact * weight).sum(), [y0, gravity], retain_graph=True, allow_unused=True)
        for a, b in zip(mine, exact):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-7)
    (still,) = torch.autograd.grad(found.last_y[:, 0].sum(), y0)  # the height at the event is 0 whatever the start
    torch.testing.assert_close(still, torch.zeros_like(y0), rtol=0, atol=1e-7)


def test_a_ball_that_bounces_and_the_gradient_of_its_third_landing():
    """From height h with restitution r, landing k is at sqrt(2 h / g) (1 + 2 (r + ... + r^(k-1)))."""
    h, r = tensor([1.0, 3.0, 0.1]).requires_grad_(), tensor([0.9, 0.5, 0.7]).requires_grad_()
    y, t = torch.stack([h, torch.zeros_like(h)], -1), torch.zeros_like(h)

    def fall(t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([y[:, 1], torch.full_like(t, -10.0)], -1)

    for _ in range(3):
        found = solve(fall, y, torch.stack([t, t + 10], -1), event=Event(height, direction=-1), **TIGHT)
        t = found.event_t
        y = torch.stack([torch.zeros_like(t), -r * found.last_y[:, 1]], -1)
    truth = (h / 5).sqrt() * (1 + 2 * (r + r**2))
    torch.testing.assert_close(t, truth, rtol=0, atol=1e-8)
    for a, b in zip(torch.autograd.grad(t.sum(), [h, r]), torch.autograd.grad(truth.sum(), [h, r])):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["Dopri5", "Dopri8", "Kvaerno5"])
@pytest.mark.parametrize("grad", [False, True], ids=["no_grad", "grad"])
def test_direction_start_and_an_event_that_never_happens(grad, name):
    """sin(t + phase), backwards too; a start at zero is no event."""
    phase = tensor([0.0, math.pi / 2, -0.3, math.pi])
    y0 = torch.stack([phase.sin(), phase.cos()], -1)
    y0[0, 0] = y0[3, 0] = 0.0
    options = {"solver": SOLVERS[name](), "rtol": 1e-8, "atol": 1e-8}
    expected = {
        0: [math.pi, math.pi / 2, 0.3, math.pi],
        1: [2 * math.pi, 1.5 * math.pi, 0.3, math.pi],
        -1: [math.pi, math.pi / 2, 0.3 + math.pi, 2 * math.pi],
    }
    with torch.set_grad_enabled(grad):
        for direction, times in expected.items():
            found = solve(turn, y0, [0.0, 7.0], event=Event(height, direction=direction), **options)
            torch.testing.assert_close(found.event_t, tensor(times), rtol=0, atol=1e-6)
        back = solve(turn, y0, [0.0, -1.0, -7.0], event=Event(height), **options)
        torch.testing.assert_close(
            back.event_t, -tensor([math.pi, math.pi / 2, math.pi - 0.3, math.pi]), rtol=0, atol=1e-6
        )
        # Downwards in the sense of the solve is upwards in time.
        down = solve(turn, y0, [0.0, -7.0], event=Event(height, direction=-1), **options)
        torch.testing.assert_close(down.event_t[:2], -tensor([2 * math.pi, math.pi / 2]), rtol=0, atol=1e-6)
        never = solve(turn, y0, [0.0, 7.0], event=Event(lambda t, y: y[:, 0] - 1.5), **options)
        plain = solve(turn, y0, [0.0, 7.0], **options)
    assert never.status.eq(Status.SUCCESS).all()
    assert never.event_t.tolist() == [math.inf] * 4
    assert torch.equal(never.last_y, plain.last_y)
    assert torch.equal(never.accepted, plain.accepted)


def test_events_of_a_nonlinear_system_are_scipys_and_no_sample_depends_on_the_others():
    y0 = tensor([[2.0, 0.0], [0.1, -1.0], [1.0, 1.0], [-2.0, 3.0], [0.0, 0.0]])
    mu = tensor([5.0, 0.5, 1.0, 2.0, 1.0])

    def field(mu: Tensor):
        return lambda t, y: torch.stack([y[:, 1], mu * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]], -1)

    event = Event(lambda t, y: y[:, 0] * y[:, 1] + 0.3 - 0.01 * t)
    with torch.no_grad():
        found = solve(field(mu), y0, [0.0, 1.0, 30.0], event=event, rtol=1e-9, atol=1e-9)
    for i in range(5):
        with torch.no_grad():
            alone = solve(field(mu[i : i + 1]), y0[i : i + 1], [0.0, 1.0, 30.0], event=event, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(alone.event_t[0], found.event_t[i], rtol=0, atol=1e-10)
        torch.testing.assert_close(alone.y[:, 0], found.y[:, i], rtol=0, atol=1e-9)
        assert alone.accepted[0] == found.accepted[i]
        assert alone.rejected[0] == found.rejected[i]
        g = lambda t, y: y[0] * y[1] + 0.3 - 0.01 * t  # noqa: E731
        g.terminal = True
        m = float(mu[i])
        truth = solve_ivp(lambda t, y: [y[1], m * (1 - y[0] ** 2) * y[1] - y[0]], (0, 30), y0[i].numpy(), "DOP853",  # noqa: B023
                          rtol=1e-12, atol=1e-13, events=g)  # fmt: skip
        assert float(found.event_t[i]) == pytest.approx(truth.t_events[0][0], abs=1e-6)
        np.testing.assert_allclose(found.last_y[i], truth.y_events[0][0], atol=1e-5)
    assert found.event_t[4] == pytest.approx(30.0)  # 0.3 - t / 100 alone: at the last time itself


@pytest.mark.parametrize("name", ["Dopri5", "Dopri8", "Kvaerno5"])
def test_gradients_of_time_and_state_are_finite_differences(name):
    """To the start, to the field, to the times and to the condition, which moves the event too."""

    def run(y0: Tensor, weight: Tensor, start: Tensor, level: Tensor) -> tuple[Tensor, ...]:
        found = solve(
            lambda t, y: torch.sin(y @ weight) + t[:, None] * 0.3,
            y0,
            torch.stack([start, start + 0.4, start + 5], -1),
            solver=SOLVERS[name](),
            event=Event(lambda t, y: y.sum(1) - level * (1 + 0.1 * t)),
            rtol=1e-8 if name == "Kvaerno5" else 1e-11,
            atol=1e-8 if name == "Kvaerno5" else 1e-11,
        )
        assert found.status.tolist() == [Status.EVENT, Status.EVENT]
        return found.event_t, found.last_y, found.y[1]

    y0, weight = tensor([[0.5, 0.2], [-0.2, 0.4]]), tensor([[0.4, 0.3], [0.5, 0.6]])
    arguments = [x.requires_grad_() for x in (y0, weight, tensor([0.0, 0.3]), tensor([2.0, 1.5]))]
    assert torch.autograd.gradcheck(run, arguments, eps=1e-5, atol=1e-5, rtol=1e-4)


def test_gradients_survive_a_trial_step_into_nothing():
    """y' = -sqrt(y) reaches 1/4 at t = 2 sqrt(y0) - 1, where dt / dy0 = 1 / sqrt(y0)."""
    y0 = tensor([[1.0], [4.0]]).requires_grad_()
    found = solve(lambda t, y: -y.sqrt(), y0, [0.0, 10.0], step_size=PID(first_step=10.0), throw=False,
                  event=Event(lambda t, y: y[:, 0] - 0.25), **TIGHT)  # fmt: skip
    assert found.status.tolist() == [Status.EVENT] * 2
    torch.testing.assert_close(found.event_t, tensor([1.0, 3.0]), rtol=0, atol=1e-8)
    (gradient,) = torch.autograd.grad(found.event_t.sum(), y0)
    torch.testing.assert_close(gradient, tensor([[1.0], [0.5]]), rtol=0, atol=1e-6)


def test_the_state_may_be_a_tree():
    y0 = {"x": tensor([[1.0], [2.0]]), "v": tensor([0.0, 1.0])}
    found = solve(
        lambda t, y: {"x": y["v"][:, None], "v": -torch.ones_like(t)},
        y0,
        [0.0, 9.0],
        event=Event(lambda t, y: y["x"][:, 0]),
        **TIGHT,
    )
    torch.testing.assert_close(found.event_t, tensor([math.sqrt(2), 1 + math.sqrt(5)]), rtol=0, atol=1e-9)
    assert found.last_y["x"].shape == (2, 1)


@pytest.mark.parametrize("name", ["Dopri5", "Kvaerno5"])
def test_crossings_that_do_not_end_the_solve_are_all_noted(name):
    """sin(t + phase) is zero at the multiples of pi; samples have as many crossings as their phase gives them."""
    phase = tensor([0.3, 0.3 + math.pi / 2, -0.3])
    y0 = torch.stack([phase.sin(), phase.cos()], -1)
    options = {"solver": SOLVERS[name](), "rtol": 1e-8, "atol": 1e-8}
    for end, direction in ((9.0, 0), (9.0, 1), (-9.0, 0)):
        found = solve(turn, y0, [0.0, end], event=Event(height, direction, terminal=False), **options)
        plain = solve(turn, y0, [0.0, end], **options)
        assert torch.equal(found.last_y, plain.last_y)
        assert found.status.eq(Status.SUCCESS).all()
        for i in range(3):
            times = [k * math.pi - float(phase[i]) for k in range(-6, 7)]
            wanted = [
                t
                for k, t in zip(range(-6, 7), times)
                if 0 < t * math.copysign(1, end) < 9 and (not direction or k % 2 == 0)
            ]
            wanted.sort(key=abs)
            own = found.event_t[i][found.event_t[i].isfinite()]
            torch.testing.assert_close(own, tensor(wanted), rtol=0, atol=1e-6)
            assert found.event_t[i, len(wanted) :].eq(math.copysign(math.inf, end)).all()
            torch.testing.assert_close(found.event_y[: len(wanted), i, 0], torch.zeros_like(own), rtol=0, atol=1e-6)
    none = solve(turn, y0, [0.0, 1.0], event=Event(lambda t, y: y[:, 0] - 2, terminal=False), **options)
    assert none.event_t.shape == (3, 0)
    assert none.event_y.shape == (0, 3, 2)


def test_every_crossing_has_the_gradient_of_its_closed_form():
    """A sin(t + phase) = level with A and phase of the start: at asin(level / A) - phase and pi - asin(level / A) - phase, plus 2 pi k."""
    y0, level = tensor([[0.0, 1.0], [0.1, 1.2]]).requires_grad_(), tensor([-0.4, 0.2]).requires_grad_()
    found = solve(turn, y0, [0.0, 7.0], event=Event(lambda t, y: y[:, 0] - level, terminal=False), **TIGHT)
    angle, phase = (level / y0.norm(dim=1)).asin(), torch.atan2(y0[:, 0], y0[:, 1])
    up, down = angle - phase, math.pi - angle - phase
    wanted = torch.stack([down[0], up[0] + 2 * math.pi, up[1], down[1], up[1] + 2 * math.pi])
    assert found.event_t is not None
    own = found.event_t[found.event_t.isfinite()]
    assert found.event_t.isfinite().sum(1).tolist() == [2, 3]
    speed = found.event_y.transpose(0, 1)[found.event_t.isfinite()][:, 1]
    rows = torch.tensor([0, 0, 1, 1, 1])
    by_hand = y0.norm(dim=1)[rows] * (wanted + phase[rows]).cos()
    for ours, theirs in ((own, wanted), (speed, by_hand)):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-8)
        for i in range(5):
            gradients = (torch.autograd.grad(side[i], (y0, level), retain_graph=True) for side in (ours, theirs))
            torch.testing.assert_close(*gradients, rtol=0, atol=1e-7)
