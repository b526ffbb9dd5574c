"""The lots of a lab: read, chosen first expired first out, taken from."""

from nkloop.inventory.models import Lot
from nkloop.inventory.stock import Cost, Inventory

__all__ = ["Cost", "Inventory", "Lot"]
