import pytest
import torch
from torch import nn

from pushforward.core.errors import ConfigError
from pushforward.parts.bijections import AffineTransformer, Coupling
from pushforward.parts.nn import MLP


def test_what_passes_is_left_alone_and_the_rest_is_not():
    torch.manual_seed(0)
    mask = [False, True, False, True, True]
    coupling, z = Coupling(mask, AffineTransformer(), MLP(3, 4)), torch.randn(10, 5)
    x, _ = coupling.forward(z)
    assert torch.equal(x[:, mask], z[:, mask])
    assert (x[:, [0, 2]] != z[:, [0, 2]]).all()


def test_outputs_go_to_their_parameters():
    class Counting(nn.Module):
        inputs, outputs, condition = 1, 4, 0

        def forward(self, x, condition=None):
            return torch.tensor([10.0, 20.0, 0.0, 1.0]).expand(len(x), 4)

    # Output k * features + i is parameter k of feature i: shifts 10 and 20, then log scales 0 and (limited) 1.
    x, log_det = Coupling([True, False, False], AffineTransformer(), Counting()).forward(torch.ones(1, 3))
    s = 3 * torch.tanh(torch.tensor(1 / 3))
    torch.testing.assert_close(x, torch.stack([torch.tensor(1.0), torch.tensor(11.0), 20 + s.exp()])[None])
    torch.testing.assert_close(log_det, s[None])


def test_a_network_that_writes_columns_gives_the_same_as_one_that_does_not():
    class Plain(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network, self.inputs, self.outputs, self.condition = network, 2, 4, 0

        def forward(self, x, condition=None):
            return self.network(x, condition)

    torch.manual_seed(0)
    network, z = MLP(2, 4), torch.randn(7, 4)
    fast, plain = (Coupling([True, True, False, False], AffineTransformer(), n) for n in (network, Plain(network)))
    torch.testing.assert_close(fast.forward(z), plain.forward(z))


def test_one_feature_without_condition_is_a_learned_map():
    coupling = Coupling([False], AffineTransformer(), MLP(0, 2))
    with torch.no_grad():
        coupling.conditioner.head.constant.copy_(torch.tensor([5.0, 0.0]))
    x, log_det = coupling.forward(torch.zeros(3, 1))
    assert torch.equal(x, torch.full((3, 1), 5.0))
    assert torch.equal(log_det, torch.zeros(3))


def test_misfits_are_refused():
    with pytest.raises(ConfigError, match="expected a mask with a False, got 2 features that all pass"):
        Coupling([True, True], AffineTransformer(), MLP(2, 2))
    with pytest.raises(
        ConfigError, match="expected a conditioner with 1 inputs and 4 outputs, got one with inputs 1 and outputs 2"
    ):
        Coupling([True, False, False], AffineTransformer(), MLP(1, 2))
    with pytest.raises(ConfigError, match="got one with inputs None"):
        Coupling([True, False], AffineTransformer(), nn.Linear(1, 2))
