"""What a robot does after a command failed: give up, wait for a person, or go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

Reaction = Literal["failRun", "waitForRecovery", "ignoreAndContinue", "assumeFalsePositiveAndContinue"]
_WORDS: dict[Reaction, str] = {
    "failRun": "FAIL_RUN",
    "waitForRecovery": "WAIT_FOR_RECOVERY",
    "ignoreAndContinue": "CONTINUE_WITH_ERROR",
    "assumeFalsePositiveAndContinue": "ASSUME_FALSE_POSITIVE_AND_CONTINUE",
}


def reaction(
    rules: Sequence[dict[str, Any]], command: dict[str, Any], error: dict[str, Any], *, may_recover: bool
) -> Reaction:
    """How to go on after a command failed; the first rule that matches decides, and only defined errors recover."""
    if not may_recover or not error.get("isDefined"):
        return "failRun"
    for rule in rules:
        wanted = rule["matchCriteria"]["command"]
        if (wanted["commandType"], wanted["error"]["errorType"]) == (command["commandType"], error["errorType"]):
            chosen: Reaction = rule["ifMatch"]
            return chosen
    return "waitForRecovery"


def note(chosen: Reaction) -> dict[str, str]:
    """The note the server leaves at a failed command."""
    words = f"Handling this command failure with {_WORDS[chosen]}."
    return {"noteKind": "debugErrorRecovery", "shortMessage": words, "longMessage": words, "source": "execution"}
