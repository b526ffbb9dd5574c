"""The lots of a lab: read, chosen first expired first out."""

from nkloop.inventory.containers import Container
from nkloop.inventory.models import Certificate, Lot
from nkloop.inventory.picking import Held, Pick, Portion
from nkloop.inventory.stock import Cost, Inventory

__all__ = ["Certificate", "Container", "Cost", "Held", "Inventory", "Lot", "Pick", "Portion"]
