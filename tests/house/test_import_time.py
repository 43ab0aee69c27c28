"""The package and the command line's help cost no heavy import. Not timed: we look at what was imported."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "scipy", "sklearn", "matplotlib", "pyarrow")


@pytest.mark.parametrize("module", ["pushforward", "pushforward.app.cli.main"])
def test_importing_costs_nothing_heavy(module):
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    import pushforward

    for name in pushforward.__all__:
        assert getattr(pushforward, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = pushforward.nonsense
