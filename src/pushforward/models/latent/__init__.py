"""Latent models: data as draws of something smaller. Autoencoders, adversarial networks, a diffusion in latents."""

from .assemble import latent_diffusion
from .autoencoder import Autoencoder, autoencoder
from .convolutional import ConvDecoder, ConvEncoder
from .critic import Critic
from .dense import DenseDecoder, DenseEncoder
from .flow_posterior import FlowPosterior
from .gan import gan
from .gated import GatedDecoder, GatedEncoder
from .generative_adversarial import GenerativeAdversarial
from .latent_diffusion import LatentBound, LatentDiffusion
from .likelihoods import BernoulliLikelihood, GaussianLikelihood, LogisticLikelihood
from .units import Units
from .vae import vae
from .variational_autoencoder import ImportanceBound, VariationalAutoencoder

__all__ = [
    "Autoencoder",
    "BernoulliLikelihood",
    "ConvDecoder",
    "ConvEncoder",
    "Critic",
    "DenseDecoder",
    "DenseEncoder",
    "FlowPosterior",
    "GatedDecoder",
    "GatedEncoder",
    "GaussianLikelihood",
    "GenerativeAdversarial",
    "ImportanceBound",
    "LatentBound",
    "LatentDiffusion",
    "LogisticLikelihood",
    "Units",
    "VariationalAutoencoder",
    "autoencoder",
    "gan",
    "latent_diffusion",
    "vae",
]
