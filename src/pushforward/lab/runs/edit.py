"""Edit held-out images of a run along the direction of an attribute in its flow's noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pushforward.core.errors import ConfigError, DataError
from pushforward.core.files import replacing
from pushforward.lab.plots import edits_grid
from pushforward.models.flows import decode, direction, encode
from pushforward.parts.data import Images, save_array

from .run import Run

ENOUGH = 2000  # images a side: the mean of so many is known to a fiftieth of their spread


@dataclass(frozen=True)
class Edits:
    """`images` `(n, alphas, c, h, w)` of pixels, for each `alphas`, and what of the originals came back at alpha 0."""

    images: Tensor
    alphas: Sequence[float]
    originals: Tensor

    @property
    def changed_at_zero(self) -> int:
        """Pixels of the originals that alpha = 0 does not give back; 0 for a bijection."""
        return int((self.images[:, list(self.alphas).index(0.0)] != self.originals).sum()) if 0.0 in self.alphas else 0


def edit(run: Run, attribute: str, *, alphas: Sequence[float] = (-1.0, -0.5, 0.0, 0.5, 1.0), n: int = 8,
         out: str | Path | None = None) -> tuple[Edits, Path]:  # fmt: skip
    """Take the direction from the training images with and without `attribute`, a class, and edit `n` of the test images.

    The edited images are those without the attribute. `out` is a .png for a picture, .npy or .npz for the pixels, by
    default `edits-ATTRIBUTE.png` in the run's folder.

    Raises `ConfigError` for a run that is not a flow of images with classes, or an attribute that is none of them; `DataError`
    where no test image is without it.
    """
    train, _, test = run.parts()
    names = list(train.class_names) if isinstance(train, Images) else []
    if attribute not in names:
        raise ConfigError(f"expected an attribute among the classes of the run's images, {', '.join(names) or 'of which it has none'}, got "
                          f"{attribute!r}; give one of them, or fit images with labels")  # fmt: skip
    if run.model.condition_shape is not None:
        raise ConfigError("expected a model of images without labels, since one that is told the class keeps it out of its noise; "
                          "fit it anew with --set classes=0")  # fmt: skip
    if n < 1 or not alphas:
        raise ConfigError(f"expected at least 1 image and 1 alpha, got {n} and {len(alphas)}")
    device = next(run.model.parameters()).device
    kind = names.index(attribute)

    def pixels(data: Images, has: bool, most: int) -> Tensor:
        return data.take(torch.nonzero((data.labels == kind) == has).flatten()[:most]).x.to(device)

    with torch.no_grad():
        if not int((test.labels != kind).sum()):
            raise DataError(
                f"expected test images without {attribute!r} to edit, got none among {len(test)}; fit more images"
            )
        towards = direction(run.model, pixels(train, True, ENOUGH), pixels(train, False, ENOUGH))
        originals = pixels(test, False, n)
        z = encode(run.model, originals)
        edited = torch.stack([decode(run.model, z + alpha * towards) for alpha in alphas], 1)
    edits = Edits(edited.clamp(0, train.levels - 1).cpu(), tuple(alphas), originals.cpu())
    path = Path(out) if out is not None else run.folder / f"edits-{attribute.replace(' ', '-')}.png"
    if path.suffix.lower() == ".png":
        with replacing(path) as beside:
            edits_grid(edits.images, alphas, attribute, levels=train.levels).savefig(beside, format="png", dpi=150)
    else:
        save_array(path, edits.images.round().to(torch.uint8))
    return edits, path
