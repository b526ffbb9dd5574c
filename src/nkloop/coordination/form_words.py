"""What planners say of options of commands, said of the fields of the form a person has filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_FORM: ContextVar[type[BaseModel] | None] = ContextVar("form", default=None)
_OPTION = re.compile(r"(?P<command>nkloop [^;,()`]*)|--(?P<option>[a-z][a-z-]*[a-z])(?: (?P<value>[a-z]+)\b)?")
"""An option, maybe with a word as its value; within a command it stays what is typed."""


@contextmanager
def filled_in(arguments: tuple[Any, ...]) -> Iterator[None]:
    """Speak of the fields of the form among the arguments of a flow, until it ends."""
    form = next((type(one) for one in arguments if isinstance(one, BaseModel)), _FORM.get())
    token = _FORM.set(form)
    try:
        yield
    finally:
        _FORM.reset(token)


def in_form_words(text: str, form: type[BaseModel] | None = None) -> str:
    """A text with every option that the form has a field for named by the title of that field.

    `--constant dose` becomes `dose in the field "What all arms have alike"`.

    Args:
        text: of a planner.
        form: whose fields are meant; the form of the flow under way when None.
    """
    asked = form or _FORM.get()
    return text if asked is None else _OPTION.sub(lambda found: _said(found, asked), text)


def _said(found: re.Match[str], form: type[BaseModel]) -> str:
    field = None if found["command"] else _field(found["option"].replace("-", "_"), form)
    if field is None:
        return found[0]
    named, value = f'the field "{field.title}"', found["value"]
    if value is None:
        return named
    return f"{value} in {named}" if value in _values(field) else f"{named} {value}"


def _field(option: str, form: type[BaseModel]) -> FieldInfo | None:
    """The field of an option: of its name, or of its name and a unit (`volume_ml`)."""
    if option in form.model_fields:
        return form.model_fields[option]
    longer = [field for name, field in form.model_fields.items() if name.startswith(f"{option}_")]
    return longer[0] if len(longer) == 1 else None


def _values(field: FieldInfo) -> tuple[Any, ...]:
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
