import pytest
import torch

from pushforward.core.errors import ConfigError, DataError
from pushforward.parts.bijections import Sigmoid, logit


def test_what_no_noise_gives_is_refused():
    with pytest.raises(DataError, match=r"expected x between 0 and 1, ends excluded, got 0 to 0\.5; rescale it"):
        Sigmoid(1).inverse(torch.tensor([[0.0], [0.5]]))
    with pytest.raises(DataError, match="expected x between 0 and 1"):
        logit(1).forward(torch.tensor([float("nan")]))


def test_alpha_makes_the_ends_finite():
    part = Sigmoid(1, alpha=0.05, low=-1.0, high=3.0)
    z, _ = part.inverse(torch.tensor([[-1.0], [3.0]]))
    expected = torch.logit(torch.tensor([[0.05], [0.95]]))
    torch.testing.assert_close(z, expected)


def test_the_ends_of_the_line_stay_finite():
    x, log_det = Sigmoid(1).forward(torch.tensor([[-80.0], [80.0]]))
    assert ((x >= 0) & (x <= 1)).all()
    torch.testing.assert_close(log_det, torch.full((2,), -80.0))


@pytest.mark.parametrize("settings", [{"alpha": -0.1}, {"alpha": 0.5}, {"low": 1.0, "high": 1.0}])
def test_an_empty_interval_is_refused(settings):
    with pytest.raises(ConfigError, match="expected 0 <= alpha"):
        Sigmoid(1, **settings)
