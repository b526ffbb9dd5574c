"""What runs in its own environment: Opentrons analysis, labware validation, instrument files."""

from nkloop.vendor.analysis import Analysis
from nkloop.vendor.client import VendorClient

__all__ = ["Analysis", "VendorClient"]
