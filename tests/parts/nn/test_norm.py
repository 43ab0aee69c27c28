"""Group normalisation for any width."""

import pytest
import torch

from pushforward.parts.nn.norm import group_norm


@pytest.mark.parametrize("width", [1, 2, 3, 7, 12, 18, 20, 32, 48, 96, 256])
def test_every_width_has_groups_of_more_than_one_channel(width):
    norm = group_norm(width)
    assert norm.num_groups <= 8
    assert width == 1 or width // norm.num_groups >= min(width, 4)
    x = 3 + 5 * torch.randn(4, width, 6, 6)
    groups = norm(x).reshape(4, norm.num_groups, -1)
    torch.testing.assert_close(groups.mean(-1), torch.zeros(4, norm.num_groups), atol=1e-5, rtol=0)
    torch.testing.assert_close(groups.var(-1, correction=0), torch.ones(4, norm.num_groups), atol=1e-3, rtol=0)
