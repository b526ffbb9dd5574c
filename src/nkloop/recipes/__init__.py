"""Recipes: read, checked as a whole, written, changed by factors, compared, and told as a procedure."""

from nkloop.recipes.changes import IngredientChange, apply_factors, diff
from nkloop.recipes.checks import check_recipe
from nkloop.recipes.description import described
from nkloop.recipes.files import find_recipe, list_recipes, load_recipe, recipe_files, save_recipe
from nkloop.recipes.models import Recipe

__all__ = [
    "IngredientChange",
    "Recipe",
    "apply_factors",
    "check_recipe",
    "described",
    "diff",
    "find_recipe",
    "list_recipes",
    "load_recipe",
    "recipe_files",
    "save_recipe",
]
