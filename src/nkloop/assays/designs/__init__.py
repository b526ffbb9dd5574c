"""Designs of killing assays: which plates, which wells, how many cells, how long it takes to give them."""

from nkloop.assays.designs.design import design
from nkloop.assays.designs.models import CellDemand, Design, DesignRequest, Dispensing, DoseSeries
from nkloop.assays.designs.needs import demand

__all__ = ["CellDemand", "Design", "DesignRequest", "Dispensing", "DoseSeries", "demand", "design"]
