import pytest
import torch

from pushforward.core.errors import ConfigError, ConvergenceError
from pushforward.parts.bijections import Sylvester

KINDS = ["orthogonal", "householder", "triangular"]


@pytest.mark.parametrize("kind", KINDS)
def test_it_begins_as_the_identity_whatever_the_condition(kind):
    z = torch.randn(5, 3)
    for width, condition in ((0, None), (2, torch.randn(5, 2))):
        part = Sylvester(3, 2, kind, condition=width)
        for direction in (part.forward, part.inverse):
            out, log_det = direction(z, condition)
            torch.testing.assert_close(out, z)
            assert not log_det.any()


def test_triangular_bends_the_first_features_or_the_last():
    for reverse, expected in ((False, [True, True, False, False]), (True, [False, False, True, True])):
        part = Sylvester(4, 2, "triangular", reverse=reverse)
        torch.nn.init.normal_(part.numbers.start)
        z = torch.randn(10, 4)
        assert (part(z)[0] != z).any(0).tolist() == expected


def test_columns_that_depend_on_each_other_are_refused_in_use():
    part = Sylvester(3, 2)
    torch.nn.init.zeros_(part.numbers.start)
    with pytest.raises(ConvergenceError, match="columns of Q to be independent"):
        part(torch.ones(3))


@pytest.mark.parametrize("arguments", [(3, 4), (3, 0), (0, None), (3, 2, "full"), (3, 2, "householder", 0)])
def test_impossible_settings_are_refused(arguments):
    with pytest.raises(ConfigError, match="rank in 1"):
        Sylvester(*arguments)
