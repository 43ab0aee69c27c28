"""The Python of the README, the guide and the systems' pages runs as it stands, but for the length of the fits."""

import re

import pytest
import torch

import pushforward as pf

from .source import ROOT

PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs").glob("systems/*.md")))
         if "```python" in path.read_text(encoding="utf-8")]  # fmt: skip


def _stage(folder) -> dict[str, object]:
    """The files and the names that pages speak of as the reader's own."""
    rows = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    pf.data.write_csv(
        folder / "wine.csv", torch.cat([rows[:, :2], rows[:, 2:].round()], 1), ["acid", "sugar", "quality"]
    )
    pixels = torch.arange(12 * 64, dtype=torch.uint8).reshape(12, 1, 8, 8)
    pf.data.write_images(folder / "photos", pixels)
    years = torch.arange(1900.0, 1940.0)
    pf.data.write_csv(folder / "pelts.csv", torch.stack([years, years.sin(), years.cos()], 1), ["year", "hare", "lynx"])
    (folder / "stays.csv").write_text(
        "id,hour,what,number,survived\n"
        + "".join(f"{i},{h},{w},{h + i},{i % 2}\n" for i in range(4) for h in range(3) for w in ("pulse", "heat")),
        encoding="utf-8",
    )
    (folder / "growth.csv").write_text(
        "child,age,height\n" + "".join(f"{i},{a},{80 + 6 * a + i}\n" for i in range(12) for a in range(1, 5)),
        encoding="utf-8",
    )
    t, x = torch.linspace(0, 1, 5), torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(1))
    series = {"t": t, "x": x, "t1": t, "t2": t[:3], "x1": x[0], "x2": x[1, :3]}
    return {
        **series,
        "pf": pf,
        "torch": torch,
        "array": rows.numpy()[:, :2],
        "pixels": pixels % 17,
        "__name__": "example",
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    code = re.sub(r"(fit\(.*?)\b(?:minutes|steps|epochs)=[\d_.]+", r"\1steps=3", "\n".join(blocks))
    exec(compile(code, str(page), "exec"), _stage(tmp_path))
