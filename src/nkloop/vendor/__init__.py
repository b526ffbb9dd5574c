"""What runs in its own environment: Opentrons analysis, labware validation, instrument files."""

from nkloop.vendor.analysis import Analysis
from nkloop.vendor.cache import answers_folder
from nkloop.vendor.client import VendorClient

__all__ = ["Analysis", "VendorClient", "answers_folder"]
