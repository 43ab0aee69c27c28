"""One table of instances per interface. A final class that is in none of them fails `test_every_final_class_has_a_case`.

Each entry maps a name to a function that builds the instance (after `torch.manual_seed(0)`), so that laws can build
fresh ones in any dtype. Keep each section sorted by file.
"""

from collections.abc import Callable

CASES: dict[str, dict[str, Callable[[], object]]] = {}

# --- bijections ---
CASES["bijections"] = {}

# --- distributions ---
CASES["distributions"] = {}

# --- diffeq: solvers ---
CASES["solvers"] = {}

# --- diffeq: terms ---
CASES["terms"] = {}

# --- paths ---
CASES["paths"] = {}

# --- kernels ---
CASES["kernels"] = {}

# --- processes ---
CASES["processes"] = {}

# --- networks ---
CASES["networks"] = {}
