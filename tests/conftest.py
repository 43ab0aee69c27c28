"""Run-time checks of every annotated shape and type, one seed, two threads that sleep when idle, for every test."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault(
    "GOMP_SPINCOUNT", "10000"
)  # idle threads soon sleep: on a busy machine, spinning ones cost tenfold

from jaxtyping import install_import_hook

import tests.typecheck  # noqa: F401  (the hook finds it by name)

_hook = install_import_hook("pushforward", "tests.typecheck.checker")

import pytest
import torch


@pytest.fixture(autouse=True)
def _same_start():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(torch.float32)
