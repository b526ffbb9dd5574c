"""Opentrons robots (Flex and OT-2) over HTTP."""

from nkloop.drivers.opentrons.plate_reader import FlexPlateReader
from nkloop.drivers.opentrons.robot import OpentronsRobot

__all__ = ["FlexPlateReader", "OpentronsRobot"]
