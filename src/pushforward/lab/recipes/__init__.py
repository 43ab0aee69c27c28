"""Recipes: runnable models with expected figures, one file each, and the catalogue of models."""

from . import digits, gp_rbf, mnist_glow, smiles_glow, two_moons, wine_red
from .catalogue import DEFAULTS, MODELS
from .recipe import Expected, Recipe

RECIPES: dict[str, Recipe] = {
    module.RECIPE.name: module.RECIPE for module in (digits, gp_rbf, mnist_glow, smiles_glow, two_moons, wine_red)
}

__all__ = ["DEFAULTS", "MODELS", "RECIPES", "Expected", "Recipe"]
