"""The folder nkloop works in: recipes, protocols, labware, devices and flows side by side."""

from nkloop.workspace.folders import Workspace, shipped

__all__ = ["Workspace", "shipped"]
