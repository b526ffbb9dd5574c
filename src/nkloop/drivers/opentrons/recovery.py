"""The recovery policy of unattended runs: fail at the first error instead of waiting for somebody who is not there."""

from __future__ import annotations

from typing import Any, Literal

ErrorRecovery = Literal["ask", "fail"]
"""`ask`: the robot waits and people are asked; `fail`: the run ends, and what was done stays known."""
RECOVERABLE = {
    "overpressure": ("aspirate", "aspirateInPlace", "dispense", "dispenseInPlace", "blowout", "blowOutInPlace",
                     "prepareToAspirate", "airGapInPlace", "pickUpTip", "dropTip", "dropTipInPlace"),
    "liquidNotFound": ("liquidProbe", "aspirate"),
    "tipPhysicallyMissing": ("pickUpTip",),
    "tipPhysicallyAttached": ("dropTip", "dropTipInPlace"),
    "stallOrCollision": ("aspirate", "aspirateInPlace", "dispense", "dispenseInPlace", "moveToWell", "pickUpTip",
                         "dropTip", "home", "moveToAddressableArea", "moveToAddressableAreaForDropTip", "touchTip"),
    "gripperMovement": ("moveLabware",),
}  # fmt: skip
"""Defined errors of the robot's software (8.2 to 10.1), and the commands they come from."""


def policy(error_recovery: ErrorRecovery) -> dict[str, Any] | None:
    """Body of `PUT /runs/{id}/errorRecoveryPolicy`, or None when the robot's own way is wanted."""
    if error_recovery == "ask":
        return None
    rules = [
        {"matchCriteria": {"command": {"commandType": kind, "error": {"errorType": error}}}, "ifMatch": "failRun"}
        for error, kinds in RECOVERABLE.items()
        for kind in kinds
    ]
    return {"policyRules": rules}
