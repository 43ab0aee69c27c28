"""Errors and edges of the paths; what they are is certified in `tests/laws/test_paths.py`."""

import pytest
import torch

from pushforward.core.errors import ConfigError
from pushforward.parts.paths import VE, VP, Cosine, Linear, conversion, time_of_angle


def test_impossible_schedules_are_refused():
    with pytest.raises(ConfigError, match="expected 0 < beta_min < beta_max, got 20"):
        VP(20.0, 0.1)
    with pytest.raises(ConfigError, match="expected 0 < sigma_min < sigma_max, got 0"):
        VE(0.0, 1.0)


def test_paths_are_values():
    assert VP() == VP(0.1, 20.0)
    assert hash(VE(0.1, 2.0)) == hash(VE(0.1, 2.0))
    assert Cosine() != Linear()


@pytest.mark.parametrize("path", [VP(), VE(), Cosine(), Linear()], ids=lambda p: type(p).__name__)
def test_both_ends_are_finite_in_single_precision(path):
    t = torch.tensor([path.t_min, path.t_max])
    for source in ("data", "noise", "score", "velocity", "v"):
        for target in ("data", "noise", "score", "velocity", "v"):
            assert all(c.isfinite().all() for c in conversion(path, source, target, t))
    assert path.sample(torch.ones(2, 3), torch.ones(2, 3), t).isfinite().all()


def test_tables_made_under_inference_mode_serve_ordinary_code():
    path = VP(0.123, 7.0)  # no other test has made its table
    with torch.inference_mode():
        inside = time_of_angle(path, torch.tensor([0.3], dtype=torch.float64))
    theta = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    outside = time_of_angle(path, theta)
    outside.sum().backward()
    assert torch.equal(inside, outside)
    assert theta.grad > 0
