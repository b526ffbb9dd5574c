"""How a flow run is called: as the person who launched it said, else by what it does to what and when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast

from nkloop.runs.session import session_here

_PAGE_MADE = re.compile(
    r"(Awesome|Rustic|Small|Gorgeous|Fantastic|Sleek|Intelligent|Unbranded|Refined|Licensed|Generic|Practical|Ergonomic"
    r"|Handcrafted|Tasty|Handmade|Incredible)-[A-Z][a-z' ]{1,6}"
    r"|(alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|omicron|pi|rho|sigma|tau|upsilon|phi"
    r"|chi|psi|omega)\d*(-[a-z']+){1,3}"
)
"""Names that the pages of Prefect put into the form: an adjective and a short animal on the newer ones, a Greek letter
and a star on the older ones."""
_FIRST = ("adjective", "adjective_near", "noun_adjective", "prefix", "size")
_SECOND = ("animal", "animal_breed", "animal_legendary")
"""Lists of words that Prefect makes the two words of a name from."""


def run_name() -> str:
    """Name of the flow run under way; `flow_run_name` of every flow.

    The name a person gave stays. One that Prefect made up becomes `request.purpose` of the form, with the place in
    its campaign or the time of the launch, so that two runs of one stage can be told apart.
    """
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("only a flow run that has begun has a name")
    given = context.flow_run.name
    if not is_made_up(given):
        return given
    request = (context.parameters or {}).get("request")
    return f"{request.purpose}, {_occasion()}" if request is not None else given


def is_made_up(name: str) -> bool:
    """Whether Prefect made a name up: an adjective and an animal, or what its pages put into the form."""
    first, dash, second = name.partition("-")
    return bool(dash) and (
        (first in _words(_FIRST) and second in _words(_SECOND)) or _PAGE_MADE.fullmatch(name) is not None
    )


@cache
def _words(lists: tuple[str, ...]) -> frozenset[str]:
    from coolname.data import config

    known = cast(Mapping[str, Mapping[str, Any]], config)
    return frozenset(word for name in lists for word in known.get(name, {}).get("words", ()))


def _occasion() -> str:
    """Day of the culture within a campaign, else the time of the launch."""
    session = session_here()
    if session is not None and session.campaign is not None:
        day = session.progress.day
        return f"round {session.round}" if day is None else f"round {session.round}, day {day:g}"
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
