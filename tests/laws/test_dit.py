"""G10: the diffusion transformer begins as nothing, knows where its patches are only by their positions, and has true gradients.

Oracles: permutations, PyTorch's own multi-head attention, finite differences, a trigonometric identity summed by numpy.
"""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pushforward.core.data import Batch
from pushforward.core.random import RowGenerator
from pushforward.models.diffusion import Denoising, dit, v_diffusion
from pushforward.parts.nn import DiT
from pushforward.parts.nn.dit import grid_waves


def awake(**settings) -> DiT:
    """A small transformer with random numbers in all that begins at zero."""
    torch.manual_seed(0)
    net = DiT(2, (4, 6), **{"width": 8, "layers": 2, "heads": 2, "patch": 2, **settings}).double()
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.3)
    return net


def inputs(rows: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(rows, 2, 4, 6, generator=generator, dtype=torch.float64), torch.rand(
        rows, generator=generator, dtype=torch.float64
    )


def test_a_fresh_transformer_is_zero_and_its_blocks_are_the_identity():
    net = DiT(2, (4, 6), width=8, layers=2, heads=2, patch=2, classes=3)
    x, t = (value.float() for value in inputs())
    assert not net(x, t, torch.tensor([0, 2, 3])).any()
    h, modulation = torch.randn(3, 6, 8), torch.randn(3, 8)
    for block in net.blocks:
        assert torch.equal(block(h, modulation), h)


def test_it_learns_from_zero():
    # Every gate is shut in the beginning, and each opens the next: all parameters move within three steps.
    net = DiT(2, (4, 6), width=8, layers=2, heads=2, patch=2)
    x, t = (value.float() for value in inputs())
    before = [p.clone() for p in net.parameters()]
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(4):
        loss = (net(x, t) - x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert all(not torch.equal(p, q) for p, q in zip(before, net.parameters()))


def permuted(x: Tensor, order: Tensor) -> Tensor:
    """Move the 2 x 2 patches of images 4 x 6."""
    patches = x.unfold(2, 2, 2).unfold(3, 2, 2).reshape(len(x), -1, 6, 2, 2)[:, :, order]
    return patches.reshape(len(x), -1, 2, 3, 2, 2).permute(0, 1, 2, 4, 3, 5).reshape(x.shape)


def test_without_positions_a_permutation_of_patches_permutes_what_comes_out():
    x, t = inputs()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    blind, seeing = awake(positions=False), awake()
    torch.testing.assert_close(blind(permuted(x, order), t), permuted(blind(x, t), order), rtol=1e-10, atol=1e-10)
    gap = seeing(permuted(x, order), t) - permuted(seeing(x, t), order)
    assert gap.abs().max() > 1e-2


def test_positions_depend_on_displacements_alone_and_tell_all_places_apart():
    # sin a sin b + cos a cos b = cos(a - b), for both axes and all rates.
    waves = grid_waves(3, 5, 16).double().numpy()
    rates = 10_000.0 ** (-np.arange(4) / 4)
    row, column = np.divmod(np.arange(15), 5)
    expected = sum(np.cos(rates * (axis[:, None] - axis[None])[..., None]).sum(-1) for axis in (row, column))
    np.testing.assert_allclose(waves @ waves.T, expected, atol=1e-5)
    assert np.unique(waves.round(4), axis=0).shape[0] == 15


def test_a_block_is_gated_attention_and_perceptron():
    net = awake(classes=3)
    block, h, c = net.blocks[0], torch.randn(3, 6, 8).double(), torch.randn(3, 8).double()
    theirs = nn.MultiheadAttention(8, 2, batch_first=True).double()
    theirs.load_state_dict({
        "in_proj_weight": block.attend.query_key_value.weight, "in_proj_bias": block.attend.query_key_value.bias,
        "out_proj.weight": block.attend.out.weight, "out_proj.bias": block.attend.out.bias,
    })  # fmt: skip
    shift, scale, gate, shift_2, scale_2, gate_2 = (v[:, None] for v in block.modulate(c).split(8, 1))

    def norm(h: Tensor) -> Tensor:
        return (h - h.mean(-1, keepdim=True)) / (h.var(-1, correction=0, keepdim=True) + 1e-6).sqrt()

    a = norm(h) * (1 + scale) + shift
    expected = h + gate * theirs(a, a, a, need_weights=False)[0]
    expected = expected + gate_2 * block.mlp(norm(expected) * (1 + scale_2) + shift_2)
    torch.testing.assert_close(block(h, c), expected, rtol=1e-9, atol=1e-9)


def test_no_label_is_one_more_label_and_dropped_labels_train_it():
    net = awake(classes=3)
    x, t = inputs()
    torch.testing.assert_close(net(x, t), net(x, t, torch.tensor([3, 3, 3])))
    assert (net(x, t) - net(x, t, torch.tensor([0, 1, 2]))).abs().max() > 1e-3
    model = dit(event_shape=(1, 4, 4), classes=3, levels=4, width=8, layers=1, heads=2, patch=2)
    nn.init.normal_(model.network.leave.weight)
    nn.init.normal_(model.network.modulate.weight)
    batch = Batch(torch.zeros(64, 1, 4, 4), torch.arange(64) % 3)
    for share, trained in ((0.0, False), (0.5, True)):
        model.zero_grad()
        Denoising(drop_condition=share)(model.train(), batch, RowGenerator(0, 64)).value.backward()
        assert bool(model.network.embedding.labels.weight.grad[3].any()) is trained


def test_rows_do_not_see_each_other_and_numbers_are_a_condition():
    net = awake(condition=2)
    x, t = inputs()
    given = torch.randn(3, 2, dtype=torch.float64)
    whole = net(x, t, given)
    alone = torch.cat([net(x[i : i + 1], t[i : i + 1], given[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(whole, alone, rtol=1e-9, atol=1e-9)
    assert (net(x, t, given + 1) - whole).abs().max() > 1e-3


def test_gradients_are_those_of_finite_differences():
    net = awake(layers=1, condition=1)
    x, t = (value[:1].requires_grad_() for value in (v.detach() for v in inputs()))
    given = torch.randn(1, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net, (x, t, given), fast_mode=True)
    assert torch.autograd.gradgradcheck(net, (x, t, given), fast_mode=True)
    names = [name for name, _ in net.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in net.parameters()]
    assert torch.autograd.gradcheck(
        lambda *p: torch.func.functional_call(net, dict(zip(names, p)), (x.detach(), t.detach(), given.detach())), values, fast_mode=True
    )  # fmt: skip


@pytest.mark.parametrize("size", [(28, 20), (8, 4)], ids=str)
def test_any_model_of_images_takes_it(size):
    model = v_diffusion(event_shape=(3, *size), levels=256, width=8, backbone="dit")
    assert isinstance(model.network, DiT)
    assert model.sample(2).shape == (2, 3, *size)
