"""A text of the wrong form is refused on the pages of Prefect in the words of its field, not by an expression."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema.exceptions import ValidationError


def say_patterns_in_words() -> None:
    """Have the server of this process name what a field takes where a pattern refuses a value."""
    from prefect.utilities.schema_tools import validation

    validation._VALIDATOR.VALIDATORS["pattern"] = _pattern


def _pattern(_validator: Any, pattern: str, value: Any, field: Mapping[str, Any]) -> Iterator[ValidationError]:
    """The keyword of JSON Schema, with the description of the field in the place of the pattern."""
    if isinstance(value, str) and not re.search(pattern, value):
        told = field.get("description")
        yield ValidationError(f"'{value}' is not of the form asked for: {told}" if told else f"'{value}' does not fit")
