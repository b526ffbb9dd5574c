"""What a donor, or the arm of a sample, may be called: the names go into files, bags, labels and tables."""

from __future__ import annotations

import re

_NAME = re.compile(r"\w[\w .+-]{0,59}")
HOW = "write letters, digits, spaces and . _ + - with a letter or digit first, like U1, at most 60"


def name_fault(name: str) -> str:
    """Why a name cannot be used, in words; empty when it can."""
    return "" if _NAME.fullmatch(name) else f"'{name}' cannot be a name"
