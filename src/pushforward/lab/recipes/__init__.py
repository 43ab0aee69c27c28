"""Recipes: runnable models with expected figures, one file each, and the catalogue of models."""

from . import (
    digits,
    gp_rbf,
    mnist_glow,
    mnist_residual,
    nltcs,
    smiles_glow,
    two_moons,
    wine_by_grade,
    wine_red,
)
from .catalogue import DEFAULTS, MODELS
from .recipe import Expected, Recipe

_ALL = (digits, gp_rbf, mnist_glow, mnist_residual, nltcs, smiles_glow, two_moons, wine_by_grade, wine_red)
RECIPES: dict[str, Recipe] = {module.RECIPE.name: module.RECIPE for module in _ALL}

__all__ = ["DEFAULTS", "MODELS", "RECIPES", "Expected", "Recipe"]
