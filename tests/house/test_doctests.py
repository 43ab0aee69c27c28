"""The examples of the docstrings run and print what they say."""

import doctest
import importlib

import pytest
import torch

from . import source

WITH_EXAMPLES = [path for path in source.files() if ">>> " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(source.PACKAGE)))
def test_examples(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    module = importlib.import_module(source.module_name(path))
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS, verbose=False)
    assert result.attempted > 0
    assert result.failed == 0
