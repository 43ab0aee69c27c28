"""B16: what a token becomes depends on the tokens before it alone, and drawing with a cache is drawing without.

Oracles: the Jacobian by automatic differentiation, whose blocks above the diagonal must be zeros to the last bit; an inverse
written here, which runs the whole network once for every token; gradients of that inverse by automatic differentiation;
patches cut out by hand.
"""

import math

import pytest
import torch
from torch import Tensor

import pushforward as pf
from pushforward.parts.bijections import (
    AffineTransformer,
    Flip,
    Patches,
    RationalQuadraticTransformer,
    TokenAutoregressive,
)
from pushforward.parts.nn import CausalTransformer


def stirred(module, scale: float = 0.3):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return module.eval()


def layer(tokens: int, width: int, transformer=None, **settings) -> TokenAutoregressive:
    transformer = transformer or AffineTransformer()
    network = CausalTransformer(tokens, width, transformer.size * width, width=8, heads=2, **settings)
    return stirred(TokenAutoregressive(transformer, network)).double()


def naive(part: TokenAutoregressive, z: Tensor, condition: Tensor | None) -> Tensor:
    """One pass of the whole network for each token, on what is known so far; what is not is filled with 100."""
    x = torch.full_like(z, 100.0)
    size, width = part.transformer.size, z.shape[-1]
    for t in range(z.shape[1]):
        said = part.network(x, condition)[:, t].reshape(len(z), size, width)
        token = part.transformer.forward(z[:, t], said.transpose(0, 1).contiguous())[0]
        x = torch.cat([x[:, :t], token[:, None], x[:, t + 1 :]], 1)
    return x


CONDITIONS = {
    "no condition": ({}, lambda n: None),
    "a vector": ({"condition": 2}, lambda n: torch.randn(n, 2, dtype=torch.float64)),
    "a class": ({"classes": 3}, lambda n: (torch.arange(n) % 3).double()),
}


@pytest.mark.parametrize("tokens", [5, 70])  # attention written out, and fused
class TestCausality:
    def test_what_is_said_of_a_token_depends_on_those_before(self, tokens):
        network = stirred(CausalTransformer(tokens, 2, 3, width=8, heads=2)).double()
        jacobian = torch.autograd.functional.jacobian(lambda x: network(x[None])[0], torch.randn(tokens, 2).double())
        sees = (jacobian != 0).any(3).any(1)
        assert torch.equal(sees, torch.ones(tokens, tokens, dtype=torch.bool).tril(-1))

    @pytest.mark.parametrize("direction", ["forward", "inverse"])
    def test_the_jacobian_is_block_triangular(self, tokens, direction):
        part = layer(tokens, 2)
        x = 0.3 * torch.randn(tokens, 2, dtype=torch.float64)
        if direction == "forward" and tokens > 5:
            x, tokens = x[:8], 8
            part = layer(8, 2, blocks=3)
        jacobian = torch.autograd.functional.jacobian(lambda v: getattr(part, direction)(v)[0], x)
        depends = (jacobian != 0).any(3).any(1)
        assert torch.equal(depends, torch.ones(tokens, tokens, dtype=torch.bool).tril())
        within = torch.stack([jacobian[t, :, t] for t in range(tokens)])
        assert torch.equal(within, torch.diag_embed(within.diagonal(dim1=1, dim2=2)))


@pytest.mark.parametrize("given", CONDITIONS)
class TestDrawing:
    def test_the_cache_draws_what_whole_passes_draw(self, given):
        settings, condition = CONDITIONS[given]
        for tokens, width in ((1, 3), (4, 1), (6, 5), (70, 1)):
            part, z, known = layer(tokens, width, **settings), torch.randn(7, tokens, width).double(), condition(7)
            with torch.no_grad():
                torch.testing.assert_close(part.forward(z, known)[0], naive(part, z, known), rtol=1e-9, atol=1e-9)

    def test_splines_over_tokens_too(self, given):
        settings, condition = CONDITIONS[given]
        part, z, known = (
            layer(4, 2, RationalQuadraticTransformer(4, 3.0), **settings),
            torch.randn(7, 4, 2).double(),
            condition(7),
        )
        with torch.no_grad():
            torch.testing.assert_close(part.forward(z, known)[0], naive(part, z, known), rtol=1e-9, atol=1e-9)

    def test_gradients_of_draws_are_those_of_whole_passes(self, given):
        settings, condition = CONDITIONS[given]
        part, z, known = layer(6, 2, **settings), torch.randn(4, 6, 2).double().requires_grad_(), condition(4)
        wanted = [z, *part.parameters()]
        weights = torch.randn(4, 6, 2).double()
        expected = torch.autograd.grad((naive(part, z, known) * weights).sum(), wanted, allow_unused=True)
        got = torch.autograd.grad((part.forward(z, known)[0] * weights).sum(), wanted, allow_unused=True)
        for e, g in zip(expected, got):
            e, g = (torch.zeros(()) if v is None else v for v in (e, g))
            torch.testing.assert_close(g, e, rtol=1e-7, atol=1e-8, check_dtype=False)

    def test_draws_with_gradients_are_the_same_draws(self, given):
        settings, condition = CONDITIONS[given]
        part, z, known = layer(6, 2, **settings), torch.randn(4, 6, 2).double(), condition(4)
        with torch.no_grad():
            alone = part.forward(z, known)
        assert all(torch.equal(a, b) for a, b in zip(alone, part.forward(z, known)))


class TestTokens:
    def test_patches_are_cut_out_in_reading_order(self):
        image = torch.randn(2, 3, 4, 6)
        tokens, log_det = Patches((3, 4, 6), 2).inverse(image)
        cut = [image[:, :, i : i + 2, j : j + 2].flatten(1) for i in (0, 2) for j in (0, 2, 4)]
        assert torch.equal(tokens, torch.stack(cut, 1))
        assert torch.equal(log_det, torch.zeros(2))

    def test_a_flip_of_vectors_and_of_tokens(self):
        x = torch.randn(4, 5, 2)
        assert torch.equal(Flip((5, 2)).forward(x)[0], x[:, [4, 3, 2, 1, 0]])
        assert torch.equal(Flip(5).inverse(x[..., 0])[0], x[:, [4, 3, 2, 1, 0], 0])

    def test_two_layers_let_every_pixel_depend_on_every_other(self):
        model = stirred(
            pf.flows.transformer_flow(event_shape=(1, 4, 4), levels=4, layers=2, width=8, heads=2, blocks=1)
        )
        bijection = model.model.bijection.double()
        jacobian = torch.autograd.functional.jacobian(
            lambda x: bijection.inverse(x)[0].flatten(), 4 * torch.rand(1, 4, 4).double()
        )
        reached = (jacobian.reshape(16, 16) != 0).float()
        assert (reached @ reached.T > 0).all()  # any two numbers of the noise share a pixel
        assert int(reached.sum()) > 16 * 12


class TestModel:
    def test_it_begins_as_a_gaussian(self):
        x = torch.tensor([3.0, -1.0]) + torch.tensor([2.0, 0.1]) * torch.randn(500, 2)
        expected = torch.distributions.Normal(x.mean(0), x.std(0)).log_prob(x).sum(1)
        flow = pf.flows.transformer_flow(x, layers=2, width=8, heads=2)
        torch.testing.assert_close(flow.log_prob(x), expected, rtol=1e-4, atol=1e-4)
        model = pf.flows.transformer_flow(event_shape=(1, 4, 4), levels=16, layers=2, width=8, heads=2)
        inner = model.model.log_prob(8 + torch.zeros(1, 4, 4))
        assert inner.item() == pytest.approx(-16 * (0.5 * math.log(2 * math.pi) + math.log(8)), rel=1e-5)

    def test_it_learns_that_one_column_is_the_square_of_the_other(self):
        generator = torch.Generator().manual_seed(0)
        a = torch.randn(2000, 1, generator=generator)
        x = torch.cat([a, a**2 + 0.1 * torch.randn(2000, 1, generator=generator)], 1)
        flow = pf.flows.transformer_flow(x, layers=2, width=16, heads=2, blocks=1)
        before, optimiser = flow.log_prob(x).mean().item(), torch.optim.Adam(flow.parameters(), 5e-3)
        for _ in range(150):
            rows = x[torch.randint(2000, (256,), generator=generator)]
            optimiser.zero_grad()
            (-flow.log_prob(rows).mean()).backward()
            optimiser.step()
        # No density has a larger mean than minus the entropy, that of a Gaussian and of noise of width 0.1.
        best = -2 * 0.5 * math.log(2 * math.pi * math.e) - math.log(0.1)
        assert before + 0.6 * (best - before) < flow.log_prob(x).mean().item() < best + 0.15
