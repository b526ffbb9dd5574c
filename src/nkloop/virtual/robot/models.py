"""What differs between the two robots of the maker."""

from __future__ import annotations

from dataclasses import dataclass

PIPETTES = {
    "flex_1channel_50": ("p50_single_flex", "p50_single_v3.6"),
    "flex_1channel_1000": ("p1000_single_flex", "p1000_single_v3.6"),
    "flex_8channel_50": ("p50_multi_flex", "p50_multi_v3.5"),
    "flex_8channel_1000": ("p1000_multi_flex", "p1000_multi_v3.5"),
    "flex_96channel_1000": ("p1000_96", "p1000_96_v3.5"),
    "p20_single_gen2": ("p20_single_gen2", "p20_single_v2.2"),
    "p20_multi_gen2": ("p20_multi_gen2", "p20_multi_v2.1"),
    "p300_single_gen2": ("p300_single_gen2", "p300_single_v2.1"),
    "p300_multi_gen2": ("p300_multi_gen2", "p300_multi_v2.1"),
    "p1000_single_gen2": ("p1000_single_gen2", "p1000_single_v2.2"),
}
"""API load name to the name and model the robot server tells (Opentrons shared data, pipette definitions)."""


@dataclass(frozen=True)
class RobotModel:
    """One of the two robots."""

    name: str
    """As people call it, and as `requirements` in a protocol may name it."""
    robot_type: str
    """As the server calls it."""
    protocol_types: frozenset[str]
    """Values of `robotType` in protocols it runs."""
    oldest_api_level: tuple[int, int]
    is_flex: bool
    """A Flex has an emergency stop, error recovery, a deck configuration to set and a door that must be closed."""


FLEX = RobotModel("Flex", "OT-3 Standard", frozenset({"Flex", "OT-3"}), (2, 15), is_flex=True)
OT2 = RobotModel("OT-2", "OT-2 Standard", frozenset({"OT-2"}), (2, 0), is_flex=False)
MODELS = {"flex": FLEX, "ot2": OT2}
"""By the name a bench file gives the deck."""
