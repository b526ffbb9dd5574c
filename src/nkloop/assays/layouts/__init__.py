"""Layouts in files: a long table, or the plate drawn as a grid."""

from nkloop.assays.layouts.files import layouts_to_csv, read_layouts

__all__ = ["layouts_to_csv", "read_layouts"]
