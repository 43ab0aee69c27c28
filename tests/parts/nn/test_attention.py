"""Self-attention against PyTorch's own module with the same numbers, on both sides of the fused kernel's threshold."""

import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.nn.attention import SelfAttention


@pytest.mark.parametrize("tokens", [1, 9, 256, 257])
@pytest.mark.parametrize("heads", [1, 4])
def test_agrees_with_multihead_attention(tokens, heads):
    ours = SelfAttention(16, heads=heads).double()
    peer = torch.nn.MultiheadAttention(16, heads, batch_first=True).double()
    with torch.no_grad():
        peer.in_proj_weight.copy_(ours.query_key_value.weight)
        peer.in_proj_bias.copy_(ours.query_key_value.bias)
        peer.out_proj.weight.copy_(ours.out.weight)
        peer.out_proj.bias.copy_(ours.out.bias)
    x = torch.randn(2, tokens, 16, dtype=torch.float64)
    torch.testing.assert_close(ours(x), peer(x, x, x, need_weights=False)[0])


@pytest.mark.parametrize("heads", [0, 3])
def test_heads_must_divide_the_width(heads):
    with pytest.raises(ConfigError, match="divides the width 16"):
        SelfAttention(16, heads=heads)
