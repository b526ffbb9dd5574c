"""How long a Flex takes for a command. Estimates from watching runs, good to a factor of two; no source states them."""

from __future__ import annotations

from nkloop.virtual.robot.interfaces import Command

SECONDS: dict[str, float] = {
    "home": 10.0,
    "pickUpTip": 6.0,
    "dropTip": 4.0,
    "dropTipInPlace": 1.0,
    "moveToAddressableAreaForDropTip": 3.0,
    "moveToAddressableArea": 2.0,
    "moveToWell": 2.0,
    "blowout": 2.0,
    "blowOutInPlace": 1.0,
    "touchTip": 3.0,
    "prepareToAspirate": 1.0,
    "configureNozzleLayout": 1.0,
    "liquidProbe": 6.0,
    "tryLiquidProbe": 6.0,
    "moveLabware": 20.0,
    "temperatureModule/waitForTemperature": 600.0,
    "heaterShaker/waitForTemperature": 240.0,
    "heaterShaker/setAndWaitForShakeSpeed": 4.0,
    "heaterShaker/deactivateShaker": 3.0,
    "heaterShaker/openLabwareLatch": 3.0,
    "heaterShaker/closeLabwareLatch": 3.0,
    "absorbanceReader/openLid": 15.0,
    "absorbanceReader/closeLid": 15.0,
    "absorbanceReader/initialize": 5.0,
    "absorbanceReader/read": 10.0,
}
"""Commands not listed (loading, comments, set points, pauses) take no time of their own."""
MOVE_SECONDS = 2.0
"""Travel to a well before an aspiration or a dispense."""


def duration(command: Command) -> float:
    """Bench time in seconds that the command takes; a pause takes none, people do."""
    kind = command["commandType"]
    params = command.get("params", {})
    if kind == "waitForDuration":
        return float(params["seconds"])
    if kind in {"aspirate", "dispense", "aspirateInPlace", "dispenseInPlace", "airGapInPlace"}:
        travel = 0.0 if kind.endswith("InPlace") else MOVE_SECONDS
        return travel + float(params["volume"]) / float(params["flowRate"])
    return SECONDS.get(kind, 0.0)
