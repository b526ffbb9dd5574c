"""What a verification rule is."""

from __future__ import annotations

from typing import Literal

from nkloop.frozen import FrozenModel

Severity = Literal["refuses", "warns"]


class Rule(FrozenModel):
    """One rule with its page."""

    id: str
    name: str
    title: str
    severity: Severity = "refuses"
    """`refuses`: the worklist may not run. `warns`: a person is told, the worklist may run."""
    protects: str
    """What goes wrong in the lab when the rule is broken."""
    found: str
    """How a breach is found, with the bound and where the bound comes from."""
    remedy: str


ENTERED: dict[str, Rule] = {}
"""Every rule that was entered, by id."""


def enter(
    id_: str, name: str, title: str, protects: str, found: str, remedy: str, severity: Severity = "refuses"
) -> str:
    """Enter a rule and give its id, which is what problems carry."""
    ENTERED[id_] = Rule(
        id=id_, name=name, title=title, severity=severity, protects=protects, found=found, remedy=remedy
    )
    return id_
