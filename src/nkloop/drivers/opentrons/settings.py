"""Settings of an Opentrons robot in a bench file: what can be told without building anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nkloop.drivers.opentrons.access import account_from
from nkloop.drivers.opentrons.recovery import checked_policy
from nkloop.errors import BenchError
from nkloop.yamlfile import Finding

_SECONDS = ("analysis_seconds", "answer_seconds")


def robot_findings(settings: Mapping[Any, Any]) -> Iterator[Finding]:
    """What is wrong with values whose types are right, each with its path in the settings."""
    for key in _SECONDS:
        value = settings.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value < 1e5:
            yield Finding((key,), f"{value:g} s is no time to wait", "write a number of seconds above 0")
    recovery, resumes = settings.get("error_recovery", "ask"), settings.get("resumes")
    for index, name in enumerate(resumes if isinstance(resumes, list) else ()):
        if isinstance(name, str) and recovery in ("ask", "fail"):
            yield from _told(("resumes", index), lambda name=name: checked_policy(recovery, [name], ""))
    account = settings.get("account")
    if isinstance(account, dict) and all(isinstance(one, str) for one in (*account, *account.values())):
        url = settings.get("url")
        address = url if isinstance(url, str) and "${" not in url else "https://filled-in-later"
        yield from _told(("account",), lambda: account_from(_filled(account), address, ""))


def _filled(account: Mapping[str, str]) -> dict[str, str]:
    """The account with long words for what is filled in later, which is judged then."""
    return {key: "filled in later" if "${" in value else value for key, value in account.items()}


def _told(path: tuple[str | int, ...], look: Any) -> Iterator[Finding]:
    try:
        look()
    except BenchError as error:
        for problem in error.problems:
            # the line says already which setting it is
            yield Finding(path, problem.message.removeprefix(f"{path[0]}: "), problem.remedy)
