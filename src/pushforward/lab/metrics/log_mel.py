"""Log-mel spectrograms: power by moment and by band of hearing, in decibels below the loudest.

Bands are triangles that overlap by half and are equally wide on the mel scale, m(f) = 2595 log10(1 + f / 700): Davis and
Mermelstein 1980, https://doi.org/10.1109/TASSP.1980.1163420.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

RANGE = 80.0  # decibels


def log_mel(clips: Float[Tensor, "n samples"], rate: int, *, bands: int = 40, window: int = 256,
            hop: int = 128) -> Float[Tensor, "n {bands} moments"]:  # fmt: skip
    """Decibels from 80 below the loudest moment of each clip, 0, up to it, 1; NaN in a clip is silence, and so is a silent clip 0.

    >>> tone = (2 * math.pi * 440 * torch.arange(4000) / 8000).sin()[None]
    >>> loudest = log_mel(tone, 8000)[0].mean(1).argmax()
    >>> bool((mel_bands(8000)[loudest] > 0)[round(440 * 256 / 8000)])
    True
    """
    x = torch.where(clips.isnan(), 0, clips)
    x = functional.pad(x, (0, max(0, window - x.shape[1])))
    x = functional.pad(x, (0, -(x.shape[1] - window) % hop))
    frames = x.unfold(1, window, hop) * torch.hann_window(window, dtype=x.dtype, device=x.device)
    power = torch.fft.rfft(frames).abs().square()
    energy = power @ mel_bands(rate, bands, window).to(power).T
    peak = energy.flatten(1).amax(1)[:, None, None].clamp(min=1e-10)
    decibels = 10 * torch.log10((energy / peak).clamp(min=10 ** (-RANGE / 10)))
    return (decibels / RANGE + 1).mT


def mel_bands(rate: int, bands: int = 40, window: int = 256) -> Float[Tensor, "{bands} frequencies"]:
    """The weight of each frequency of a window in each band."""
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, bands + 2, dtype=torch.float64) / 2595) - 1)
    # The lowest bands of short windows fall between two frequencies; none is narrower than the grid.
    step = rate / window
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    left, right = torch.minimum(left, middle - step), torch.maximum(right, middle + step)
    f = torch.arange(window // 2 + 1, dtype=torch.float64) * step
    return torch.minimum((f - left) / (middle - left), (right - f) / (right - middle)).clamp(min=0)
