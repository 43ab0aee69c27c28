"""Latent models: data as draws of something smaller. An autoencoder, and a diffusion in its latents."""

from .assemble import latent_diffusion
from .autoencoder import Autoencoder, autoencoder
from .convolutional import ConvDecoder, ConvEncoder
from .latent_diffusion import LatentBound, LatentDiffusion
from .units import Units

__all__ = [
    "Autoencoder",
    "ConvDecoder",
    "ConvEncoder",
    "LatentBound",
    "LatentDiffusion",
    "Units",
    "autoencoder",
    "latent_diffusion",
]
