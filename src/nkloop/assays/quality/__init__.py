"""Plate quality: each figure with its limit, where the limit comes from, and a sentence a person understands."""

from nkloop.assays.quality.controls import control_measures, saturation_measure
from nkloop.assays.quality.history import reference_lysis, reference_measures
from nkloop.assays.quality.measures import verdict_of
from nkloop.assays.quality.positions import position_measures
from nkloop.assays.quality.wells import lysis_measures, replicate_groups, replicate_measure

__all__ = [
    "control_measures",
    "lysis_measures",
    "position_measures",
    "reference_lysis",
    "reference_measures",
    "replicate_groups",
    "replicate_measure",
    "saturation_measure",
    "verdict_of",
]
