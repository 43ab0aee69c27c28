"""B14: a reversible stack has the values and gradients of the ordinary one, and memory that does not grow with depth.

Oracles: ordinary automatic differentiation of the same parts; a count of the bytes that the graph keeps alive.
"""

import copy

import pytest
import torch

import pushforward as pf
from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import Chain
from tests.laws.test_bijections import DIRECTIONS, NAMES, make, points


def gradients(chain, direction, value, condition, seed=0):
    """Outputs, and the gradients of a random function of both, by value, condition and parameters."""
    inputs = [value.detach().clone().requires_grad_()]
    if condition is not None:
        inputs.append(condition.detach().clone().requires_grad_())
    torch.manual_seed(seed)
    out, log_det = getattr(chain, direction)(*inputs)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(out.shape, generator=generator, dtype=out.dtype)
    loss = (out * weights).sum() + (log_det * torch.arange(len(log_det), dtype=out.dtype)).sum()
    wanted = [*inputs, *chain.parameters()]
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    return out, log_det, [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found)]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_are_the_ordinary_ones(name, direction):
    part, (value, condition) = make(name), points(name, direction, (4,))
    parts = [part]
    # What a circle has wrapped cannot be unwrapped after another map, and sigmoids do not fit behind each other.
    if part.event_shape == part.output_shape and not any(word in name for word in ("logit", "Sigmoid", "circular")):
        shift = pf.bijections.Affine(*(torch.full(part.event_shape, c, dtype=torch.float64) for c in (0.01, 0.9)))
        parts = [part, shift, copy.deepcopy(part)] if part.inverse_kind == "exact" else [part, shift]
    try:
        expected = gradients(Chain(parts), direction, value, condition)
    except pf.UserError:  # the copy's domain is not the outcome of the part: once is enough
        parts = [part]
        expected = gradients(Chain(parts), direction, value, condition)
    got = gradients(Chain(parts, memory="reversible"), direction, value, condition)
    # Sequential maps find their log det on another way where there is no graph: equal to rounding, not to the bit.
    torch.testing.assert_close(got[0], expected[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got[1], expected[1], rtol=1e-9, atol=1e-9)
    # Far out, the rounding of the rebuilt input is amplified by the slope of the part.
    for e, g in zip(expected[2], got[2]):
        torch.testing.assert_close(g, e, rtol=1e-5, atol=1e-5 * float(1 + e.abs().max()))


def stack(layers: int, memory: str, dropout: float = 0.0, scale: float = 0.1) -> pf.Distribution:
    flow = pf.flows.realnvp(features=8, condition=2, layers=layers, hidden=[32], dropout=dropout, memory=memory)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return flow.train()


def test_dropout_draws_the_same_units_again():
    x, condition = torch.randn(16, 8), torch.randn(16, 2)
    found = []
    for memory in ("ordinary", "reversible"):
        flow = stack(6, memory, dropout=0.5)
        torch.manual_seed(7)
        loss = -flow.log_prob(x, condition).mean()
        loss.backward()
        found.append((loss.detach(), torch.cat([p.grad.flatten() for p in flow.parameters() if p.grad is not None])))
    torch.testing.assert_close(*[loss for loss, _ in found])
    torch.testing.assert_close(*[gradient for _, gradient in found], rtol=1e-3, atol=1e-4)
    assert found[0][1].abs().max() > 1e-2


class Kept:
    """Counts the bytes that autograd keeps alive, and the most there were."""

    def __init__(self):
        self.now = self.most = 0

    def pack(self, tensor):
        counter, size = self, tensor.numel() * tensor.element_size()

        class Holder:
            def __init__(self):
                self.tensor = tensor
                counter.now += size
                counter.most = max(counter.most, counter.now)

            def __del__(self):
                counter.now -= size

        return Holder()


def most_kept(layers: int, memory: str) -> int:
    flow, kept = stack(layers, memory), Kept()
    parameters = {p.data_ptr() for p in flow.parameters()}
    x, condition = torch.randn(512, 8), torch.randn(512, 2)

    def pack(tensor):  # parameters are there anyhow
        return tensor if tensor.data_ptr() in parameters else kept.pack(tensor)

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: getattr(kept, "tensor", kept)):
        (-flow.log_prob(x, condition).mean()).backward()
    return kept.most


def test_memory_is_flat_in_depth():
    shallow, deep = most_kept(8, "reversible"), most_kept(64, "reversible")
    assert 0 < deep <= 1.2 * shallow
    assert most_kept(64, "ordinary") > 5 * most_kept(8, "ordinary")  # the count can see growth


def test_gradients_stay_true_in_float32_through_64_layers():
    x, condition = torch.randn(32, 8), torch.randn(32, 2)
    found = {}
    for memory, dtype in (("ordinary", torch.float64), ("reversible", torch.float32)):
        flow = stack(64, memory, scale=0.03).to(dtype)
        (-flow.log_prob(x.to(dtype), condition.to(dtype)).mean()).backward()
        found[memory] = torch.cat([p.grad.double().flatten() for p in flow.parameters() if p.grad is not None])
    off = (found["reversible"] - found["ordinary"]).norm() / found["ordinary"].norm()
    assert off < 1e-3


def test_there_are_no_second_derivatives():
    chain = Chain([make("Coupling affine"), make("Coupling affine")], memory="reversible")
    value = points("Coupling affine", "forward", (2,))[0].requires_grad_()
    (gradient,) = torch.autograd.grad(chain.forward(value)[0].sum(), value, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        gradient.sum().backward()


@pytest.mark.parametrize("build", [pf.flows.nice, pf.flows.realnvp, pf.flows.neural_spline])
def test_every_stack_of_couplings_has_the_flag(build):
    x, found = torch.randn(8, 4), []
    for memory in ("ordinary", "reversible"):
        flow = build(features=4, layers=3, hidden=[8], memory=memory)
        with torch.no_grad():
            for i, parameter in enumerate(flow.parameters()):
                parameter.copy_(0.2 * torch.sin(torch.arange(parameter.numel()) + i).reshape(parameter.shape))
        (-flow.log_prob(x).mean()).backward()
        found.append(torch.cat([p.grad.flatten() for p in flow.parameters()]))
    assert found[0].abs().max() > 1e-3
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-5)


def test_another_kind_of_memory_is_refused():
    with pytest.raises(ConfigError, match="expected memory 'ordinary' or 'reversible', got 'none'"):
        Chain([make("Coupling affine")], memory="none")
    with pytest.raises(ConfigError, match="expected memory 'ordinary' for kind 'autoregressive'"):
        pf.flows.neural_spline(features=2, kind="autoregressive", memory="reversible")
