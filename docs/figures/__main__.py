"""Draw every figure of the book: `python docs/figures [NAME ...]`.

Each file beside this one has `draw() -> matplotlib.figure.Figure`; the picture goes to `docs/assets/NAME.png`, and is
drawn again when its code is newer. Every figure starts from the same seed, whatever was drawn before it.
"""

import runpy
import sys
import time
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
ASSETS = HERE.parent / "assets"


def draw_all(names: list[str]) -> int:
    """Draw what is older than its code, or what is named; return the exit code."""
    ASSETS.mkdir(exist_ok=True)
    sources = sorted(path for path in HERE.glob("*.py") if not path.stem.startswith("_"))
    unknown = set(names) - {path.stem for path in sources}
    if unknown:
        print(
            f"figures: expected names among {', '.join(p.stem for p in sources)}, got {', '.join(sorted(unknown))}",
            file=sys.stderr,
        )
        return 2
    for source in sources:
        picture = ASSETS / f"{source.stem}.png"
        fresh = picture.exists() and picture.stat().st_mtime > source.stat().st_mtime
        if source.stem not in names if names else fresh:
            continue
        start = time.monotonic()
        torch.manual_seed(0)
        figure = runpy.run_path(str(source))["draw"]()
        figure.savefig(picture, dpi=150, bbox_inches="tight")
        print(f"{picture.relative_to(HERE.parent.parent)}  {time.monotonic() - start:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(draw_all(sys.argv[1:]))
