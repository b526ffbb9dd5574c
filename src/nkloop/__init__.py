"""nkloop: NK-cell process development as a closed loop of recipes, robots, assays and proposals."""

__version__ = "0.1.0"
