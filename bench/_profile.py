"""Where the time of a call goes: PyTorch's profiler, its operations put into a few groups.

A share is of the wall time of the profiled call. What no operation accounts for is the interpreter and the dispatch to the
operations; profiling makes that part larger than it is, by about a microsecond an operation, in all parties alike.
"""

import time
from collections.abc import Callable, Mapping

GROUPS = (
    "products",
    "convolutions",
    "triangular",
    "element-wise",
    "reductions",
    "moving data",
    "random numbers",
    "optimiser",
)
_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("optimiser", ("_fused_adam", "_foreach")),
    ("convolutions", ("convolution", "conv1d", "conv2d")),
    ("products", ("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "mkl_linear", "matmul", "linear", "linear_backward")),
    ("triangular", ("solve", "lu", "det", "svd", "eig", "qr", "cholesky", "inv")),
    ("random numbers", ("normal", "uniform", "bernoulli", "random", "randn", "rand", "randperm")),
    ("moving data", ("copy", "cat", "stack", "index", "gather", "scatter", "clone", "contiguous", "empty", "zeros", "ones", "fill",
                     "full", "resize", "view", "reshape", "transpose", "slice", "select", "narrow", "expand", "as_strided", "permute",
                     "unbind", "split", "chunk", "detach", "zero", "to", "pad", "roll", "flip", "squeeze", "unsqueeze", "t", "item",
                     "local", "set", "alias", "lift", "repeat", "arange", "unfold")),
    ("reductions", ("sum", "mean", "max", "min", "amax", "amin", "norm", "prod", "cumsum", "logsumexp", "softmax", "any", "all",
                    "nonzero", "searchsorted", "sort", "var", "std")),
)  # fmt: skip


def profile(calls: Mapping[str, Callable[[], object]], repeats: int = 5) -> dict[str, dict[str, float]]:
    """For each party the share of every group, and the number of operations a call makes under "operations"."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as recorder

    found: dict[str, dict[str, float]] = {}
    for name, call in calls.items():
        start = time.perf_counter()
        call()
        # The recorder keeps every operation: of long calls, one is enough, and five are gigabytes.
        repeats = repeats if time.perf_counter() - start < 0.5 else 1
        with recorder(activities=[ProfilerActivity.CPU]) as record:
            start = time.perf_counter()
            for _ in range(repeats):
                call()
            wall = 1e6 * (time.perf_counter() - start)
        shares = dict.fromkeys(GROUPS, 0.0)
        operations = 0
        for event in record.key_averages():
            if event.key.startswith("aten::"):
                operations += event.count
                shares[group_of(event.key)] += event.self_cpu_time_total / wall
        shares["interpreter and dispatch"] = max(0.0, 1 - sum(shares.values()))
        found[name] = {**shares, "operations": operations / repeats}
    return found


def group_of(operation: str) -> str:
    """The group of an operation such as `aten::addmm`; element-wise where nothing else fits."""
    bare = operation.removeprefix("aten::").strip("_")
    words = bare.split("_")
    for group, kinds in _KINDS:
        for kind in kinds:
            if bare == kind or kind in words or (len(kind) > 4 and kind in bare):
                return group
    return "element-wise"


def table(shares: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Lines of markdown: a row for each group that somebody spends more than a hundredth in, a column for each party."""
    parties = list(shares)
    rows = [g for g in (*GROUPS, "interpreter and dispatch") if max(shares[p][g] for p in parties) >= 0.01]
    lines = [
        "Where the time of a call goes, by PyTorch's profiler:",
        "",
        f"| | {' | '.join(parties)} |",
        "|---|" + "---:|" * len(parties),
    ]
    lines += [f"| {group} | " + " | ".join(f"{100 * shares[p][group]:.0f} %" for p in parties) + " |" for group in rows]
    return [*lines, "| operations | " + " | ".join(f"{shares[p]['operations']:,.0f}" for p in parties) + " |", ""]
