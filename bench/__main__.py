"""`python -m bench NAME [--rounds N]`: run one benchmark, write its files, print its table."""

import argparse
import importlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
HELPERS = {"__init__", "__main__", "harness"}


def names() -> list[str]:
    """Every benchmark there is: a file of this folder with a function `run(rounds) -> Report`."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem not in HELPERS and not path.stem.startswith("_"))


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Time us against our peers in one run.")
    parser.add_argument("name", choices=names(), help="which benchmark")
    parser.add_argument(
        "--rounds", type=int, default=None, help="interleaved rounds (each benchmark has its own default)"
    )
    parser.add_argument("--out", type=Path, default=None, help="folder for the json and markdown files")
    given = parser.parse_args(arguments)
    try:
        module = importlib.import_module(f"bench.{given.name}")
    except ModuleNotFoundError as missing:
        print(
            f"bench: expected the package {missing.name}, found it not installed; `make bench` installs the peers",
            file=sys.stderr,
        )
        return 2
    report = module.run(**({"rounds": given.rounds} if given.rounds else {}))
    table = report.write(**({"folder": given.out} if given.out else {}))
    print(table.read_text(encoding="utf-8"))
    print(f"written {table} and {table.with_suffix('.json').name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
