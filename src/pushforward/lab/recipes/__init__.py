"""Recipes: runnable models with expected figures, one file each, and the catalogue of models."""

from . import (
    basic_motions,
    baudio,
    bidirectional_spirals,
    digits,
    digits_consistency,
    digits_ncsn,
    gp_rbf,
    italy_power,
    lynx_hare,
    lynx_hare_sde,
    mnist_diffusion,
    mnist_glow,
    mnist_residual,
    mnist_vae,
    nltcs,
    nltcs_boltzmann,
    nltcs_rbm,
    physionet2012,
    plants,
    smiles_glow,
    two_moons,
    two_moons_ffjord,
    two_moons_ot,
    wine_by_grade,
    wine_red,
)
from .catalogue import DEFAULTS, MODELS
from .recipe import Expected, Recipe

_ALL = (
    basic_motions,
    baudio,
    bidirectional_spirals,
    lynx_hare,
    lynx_hare_sde,
    physionet2012,
    digits,
    digits_consistency,
    digits_ncsn,
    gp_rbf,
    italy_power,
    mnist_diffusion,
    mnist_glow,
    mnist_residual,
    mnist_vae,
    nltcs,
    nltcs_boltzmann,
    nltcs_rbm,
    plants,
    smiles_glow,
    two_moons,
    two_moons_ffjord,
    two_moons_ot,
    wine_by_grade,
    wine_red,
)
RECIPES: dict[str, Recipe] = {module.RECIPE.name: module.RECIPE for module in _ALL}

__all__ = ["DEFAULTS", "MODELS", "RECIPES", "Expected", "Recipe"]
