"""Reading files: one function for the files of plates, one for those of cell counters, one model of what each says."""

from nkloop.assays.readings.counts import SampleCount, read_count_file, read_counts
from nkloop.assays.readings.files import one_plate, read_plate_file, read_plates
from nkloop.assays.readings.models import Frame, PlateReading

__all__ = [
    "Frame",
    "PlateReading",
    "SampleCount",
    "one_plate",
    "read_count_file",
    "read_counts",
    "read_plate_file",
    "read_plates",
]
