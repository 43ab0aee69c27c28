"""The harness of `bench/`: it refuses unequal results, interleaves, and its ratios are those of times we know."""

import json
import time

import pytest
import torch
from bench.__main__ import main, names
from bench._profile import group_of
from bench.harness import OURS, Agreement, Comparison, Disagreement, Report, compare


def _agreed(*peers):
    return lambda: [Agreement(peer, "the answer", 0.0, 1e-6) for peer in peers]


def test_it_times_nothing_when_results_differ():
    calls = []
    for difference in (0.2, float("nan")):
        with pytest.raises(Disagreement, match="slow, the answer"):
            compare("task", lambda: calls.append(1), {"slow": lambda: calls.append(2)},
                    check=lambda d=difference: [Agreement("slow", "the answer", d, 0.1)])  # fmt: skip
    assert calls == []


def test_it_wants_a_check_of_every_peer():
    with pytest.raises(Disagreement, match="none of b"):
        compare("task", lambda: 0, {"a": lambda: 0, "b": lambda: 0}, check=_agreed("a"))


def test_rounds_hold_every_party_once_in_changing_order():
    calls = []
    result = compare("task", lambda: calls.append(OURS), {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
                     check=_agreed("a", "b"), repeats=20, warmup=2, profiled=False)  # fmt: skip
    rounds = [tuple(calls[i : i + 3]) for i in range(0, len(calls), 3)]
    assert len(rounds) == 22
    assert all(sorted(r) == sorted([OURS, "a", "b"]) for r in rounds)
    assert len(set(rounds)) > 2
    assert {len(seconds) for seconds in result.seconds.values()} == {20}


def test_a_profile_says_which_operations_take_the_time():
    a, b = torch.randn(300, 300), torch.randn(300, 300)
    result = compare("task", lambda: a @ b, {"peer": lambda: (a * b).sin()}, check=_agreed("peer"), repeats=2, warmup=0)
    ours, peer = result.profile[OURS], result.profile["peer"]
    assert ours["products"] > 0.3 > peer["products"] == 0
    assert peer["element-wise"] > 0.3 > ours["element-wise"]
    assert peer["operations"] == 2
    assert group_of("aten::_convolution") == group_of("aten::mkldnn_convolution") == "convolutions"
    assert group_of("aten::index_select") == group_of("aten::copy_") == "moving data"
    assert group_of("aten::linalg_lu_solve") == "triangular"
    assert group_of("aten::log_softmax") == "reductions"


def test_seconds_cover_the_call():
    result = compare(
        "task",
        lambda: time.sleep(0.002),
        {"peer": lambda: time.sleep(0.004)},
        check=_agreed("peer"),
        repeats=3,
        warmup=0,
    )
    assert min(result.seconds[OURS]) >= 0.002
    assert min(result.seconds["peer"]) >= 0.004


def test_ratios_of_times_we_know(tmp_path):
    comparison = Comparison("task", {OURS: [1.0, 2.0, 3.0], "peer": [3.0, 4.0, 9.0]}, _agreed("peer")())
    assert comparison.ratio("peer") == 2.0  # medians 4 and 2
    assert comparison.extremes("peer") == (2.0, 3.0)
    low, high = comparison.interval("peer")
    assert low <= 2.0 <= high
    assert low >= 2.0 - 1e-12  # no resample of these rounds has a smaller ratio than the least pair
    assert high <= 3.0 + 1e-12
    table = Report(
        "example", "An example", notes=["a note"], comparisons=[comparison], figures=[("share", "1 %")]
    ).write(tmp_path)
    assert "| peer | 4000.00 | **2.00** |" in table.read_text()
    written = json.loads((tmp_path / "example.json").read_text())
    assert written["comparisons"][0]["times_as_fast"]["peer"]["ratio"] == 2.0
    assert written["comparisons"][0]["seconds"][OURS] == [1.0, 2.0, 3.0]


def test_an_unknown_benchmark_is_refused_with_the_names(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["nonsense"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert all(name in said for name in names())
