"""Assay methods as data: one YAML file each, in the package and in a lab's own folder."""

from nkloop.assays.methods.files import load_method, method_named, methods
from nkloop.assays.methods.models import ContactWindow, Limit, Method, Outcome, ReadSettings, Terms

__all__ = [
    "ContactWindow",
    "Limit",
    "Method",
    "Outcome",
    "ReadSettings",
    "Terms",
    "load_method",
    "method_named",
    "methods",
]
