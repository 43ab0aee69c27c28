"""A model is a tree of registered constructors and their arguments: it survives JSON, and nothing else gets in."""

import json
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from pushforward.core.errors import ConfigError, SavedFileError
from pushforward.core.registry import CONSTRUCTORS, build, describe, device_of, dtype_of, register
from tests.cases import CASES


@pytest.fixture
def scratch():
    """Let a test register classes of its own."""
    before = dict(CONSTRUCTORS)
    yield
    CONSTRUCTORS.clear()
    CONSTRUCTORS.update(before)


SAVED = ("bijections", "distributions", "paths", "processes", "networks")  # what a saved model consists of
ENTRIES = [(section, name) for section, entries in CASES.items() for name in entries]


@pytest.mark.parametrize(("section", "name"), ENTRIES, ids=[f"{section}-{name}" for section, name in ENTRIES])
def test_every_case_is_rebuilt_from_json(section, name):
    torch.manual_seed(0)
    instance = CASES[section][name]()
    tensors: dict[str, Tensor] = {}
    try:
        text = json.dumps(describe(instance, tensors))
    except ConfigError:
        if section in SAVED:
            raise
        return  # a term holds a function, which no file can
    again = build(json.loads(text), tensors)
    assert type(again) is type(instance)
    more: dict[str, Tensor] = {}
    assert json.dumps(describe(again, more)) == text
    assert tensors.keys() == more.keys()
    assert all(torch.equal(tensors[k], more[k]) for k in tensors)
    if isinstance(instance, nn.Module):
        again.load_state_dict(instance.state_dict())  # strict: the structure follows from the arguments


def test_arguments_keep_their_kind(scratch):
    @register
    class Anything:
        def __init__(self, value, *, name="x"):
            self.value, self.name = value, name

    inner = Anything([1, 2.5, True, None, "a"], name="inner")
    outer = Anything({"part": inner, "pair": (torch.arange(3), torch.tensor(2.0))})
    tensors: dict[str, Tensor] = {}
    again = build(json.loads(json.dumps(describe(outer, tensors))), tensors)
    assert again.name == "x"
    assert again.value["part"].value == [1, 2.5, True, None, "a"]
    assert again.value["part"].name == "inner"
    assert torch.equal(again.value["pair"][0], torch.arange(3))


def test_a_class_without_a_constructor_of_its_own_has_no_arguments(scratch):
    @register
    class Solver:
        pass

    @register
    class Layer(nn.Module):
        pass

    for cls in (Solver, Layer):
        description = describe(cls(), {})
        assert description["arguments"] == {}
        assert type(build(description, {})) is cls


def test_a_constructor_that_cannot_be_called_by_name_is_refused(scratch):
    class Stack:
        def __init__(self, *layers):
            self.layers = layers

    with pytest.raises(ConfigError, match=r"expected a constructor without \*args and \*\*kwargs, got Stack"):
        register(Stack)


def test_frozen_dataclasses_can_be_registered(scratch):
    @register
    @dataclass(frozen=True)
    class Path:
        beta: float = 0.5

    assert build(describe(Path(2.0), {}), {}) == Path(2.0)
    assert describe(Path(), {})["arguments"] == {"beta": 0.5}


def test_arguments_are_no_submodules(scratch):
    @register
    class Holder(nn.Module):
        def __init__(self, part: nn.Module):
            super().__init__()
            self.part = part

    holder = Holder(nn.Linear(2, 2))
    assert len(list(holder.parameters())) == 2
    assert list(holder.state_dict()) == ["part.weight", "part.bias"]


def test_the_file_holds_a_tensor_of_its_own_for_every_argument(scratch):
    @register
    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b

    one = torch.ones(2)
    tensors: dict[str, Tensor] = {}
    describe(Pair(one, one), tensors)  # safetensors refuses two names for one memory
    assert len({t.data_ptr() for t in tensors.values()}) == 2


def test_what_is_not_registered_cannot_be_saved():
    for thing in (nn.Linear(2, 2), lambda x: x, torch.float32, {1: 2}):
        with pytest.raises(ConfigError, match=r"cannot save model\.0: expected .* decorate its class with @"):
            describe([thing], {})


def test_a_subclass_is_not_its_registered_parent(scratch):
    @register
    class Parent:
        def __init__(self):
            pass

    class Child(Parent):
        pass

    with pytest.raises(ConfigError, match="cannot save model"):
        describe(Child(), {})


@pytest.mark.parametrize(
    "description",
    [
        {"class": "os.system", "arguments": {"command": "true"}},
        {"class": "Nobody", "arguments": {}},
        {"class": ["Gaussian"], "arguments": {}},
        {"arguments": {}},
        {},
    ],
    ids=str,
)
def test_what_is_not_in_the_registry_is_not_built(description):
    with pytest.raises(SavedFileError, match="expected a part known to this version"):
        build(description, {})


def test_a_missing_tensor_and_wrong_arguments_are_a_damaged_file(scratch):
    @register
    class Positive:
        def __init__(self, value):
            if value <= 0:
                raise ConfigError(f"expected a positive value, got {value}; give another")

    with pytest.raises(SavedFileError, match=r"a tensor named model\.value in the file, found none"):
        build({"class": "Positive", "arguments": {"value": {"tensor": "model.value"}}}, {})
    with pytest.raises(SavedFileError, match="arguments that build Positive"):
        build({"class": "Positive", "arguments": {"other": 1}}, {})
    with pytest.raises(SavedFileError, match="expected a positive value"):
        build({"class": "Positive", "arguments": {"value": -1}}, {})


def test_one_name_is_one_class(scratch):
    register(type("Twin", (), {"__init__": lambda self: None, "__module__": "one"}))
    with pytest.raises(ConfigError, match="two classes are registered as Twin: one and two"):
        register(type("Twin", (), {"__init__": lambda self: None, "__module__": "two"}))


def test_device_and_dtype_come_from_the_first_tensor_that_has_them():
    assert device_of(nn.Identity()) == torch.device("cpu")
    assert dtype_of(nn.Identity()) == torch.float32
    assert dtype_of(nn.Linear(1, 1).double()) == torch.float64
    counted = nn.Identity()
    counted.register_buffer("count", torch.tensor(3))
    counted.register_buffer("scale", torch.tensor(3.0, dtype=torch.float64))
    assert dtype_of(counted) == torch.float64
