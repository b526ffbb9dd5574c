"""Labware: the catalogue, wells and volumes, our own geometry checks."""

from nkloop.labware.catalogue import Catalogue
from nkloop.labware.geometry import check_entry, check_geometry
from nkloop.labware.models import LabwareType

__all__ = ["Catalogue", "LabwareType", "check_entry", "check_geometry"]
