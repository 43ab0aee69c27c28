"""Constructor and sentences of the uniform distribution."""

import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.distributions import Uniform


def test_one_number_stands_for_all():
    box = Uniform(torch.tensor(0.0), torch.tensor([1.0, 2.0]))
    assert box.event_shape == (2,)
    assert torch.allclose(box.log_prob(torch.tensor([0.5, 0.5])), -torch.tensor(2.0).log())


def test_draws_are_inside():
    box = Uniform(torch.tensor([5.0]), torch.tensor([5.5]))
    x = box.sample(1000)
    assert box.log_prob(x).isfinite().all()


@pytest.mark.parametrize(
    ("low", "high", "sentence"),
    [
        (torch.zeros(2), torch.tensor([1.0, 0.0]), "expected low < high, got 1 empty intervals; swap"),
        (torch.zeros(2), torch.ones(3), "expected low and high of one shape"),
        (torch.zeros(1), torch.tensor([torch.inf]), "expected finite numbers in high"),
    ],
)
def test_bad_boxes_are_refused(low, high, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Uniform(low, high)
