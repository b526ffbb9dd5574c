"""Opentrons robots (Flex and OT-2) over HTTP."""

from nkloop.drivers.opentrons.robot import OpentronsRobot

__all__ = ["OpentronsRobot"]
