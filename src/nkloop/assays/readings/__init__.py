"""Reading files: one function for all of them, one model of what they say."""

from nkloop.assays.readings.files import read_plate_file
from nkloop.assays.readings.models import Frame, PlateReading

__all__ = ["Frame", "PlateReading", "read_plate_file"]
