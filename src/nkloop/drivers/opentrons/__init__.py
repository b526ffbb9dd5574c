"""Opentrons robots (Flex) over HTTP."""

from nkloop.drivers.opentrons.robot import OpentronsRobot

__all__ = ["OpentronsRobot"]
