"""What pydantic found wrong with a file, told to the person who wrote the file."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError

from nkloop.errors import NkloopError, Problem
from nkloop.yamlfile.reader import Positions, YamlPath, YamlSyntaxError, load_yaml
from nkloop.yamlfile.taken import mistaken

ModelT = TypeVar("ModelT", bound=BaseModel)
ReadT = TypeVar("ReadT")
_SEPARATOR = ". Remedy: "
"""A validator may end its message with this and the remedy; both are then told apart."""
_DRIVER = "write `package.module:Class`"
_SMALL = "write small letters, digits and hyphens"
_FORMS = {
    r"^[a-z0-9][a-z0-9-]*$": _SMALL,
    r"^[a-z0-9][a-z0-9_-]*$": f"{_SMALL} or underscores",
    r"^[A-Za-z0-9][A-Za-z0-9 .+_-]*$": "write letters, digits, blanks and . + _ - only",
    r"^[a-z0-9._]+$": "write small letters, digits, dots and underscores",
    r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$": _DRIVER,
    r"^$|^[A-Za-z_][\w.]*:[A-Za-z_]\w*$": _DRIVER,
    r"^[0-9a-f]{64}$": "run `nkloop protocol update`",
}
"""Forms in words that a person reads."""
_LONGEST_SHOWN = 80
"""Characters of a value or name that are shown; more is not read, and hides what is said of it."""
_BOUNDS = {
    "greater_than": ("must be above {gt:g}", "gt"),
    "greater_than_equal": ("must be at least {ge:g}", "ge"),
    "less_than": ("must be below {lt:g}", "lt"),
    "less_than_equal": ("must be at most {le:g}", "le"),
}
_WRONG_TYPE = {
    "string": ("is not text", "put it in quotes"),
    "float": ("is not a number", "write a number with a decimal point"),
    "int": ("is not a whole number", "write a whole number"),
    "bool": ("is neither true nor false", "write true or false"),
    "date": ("is not a date", "write year-month-day, like 2027-06-30"),
    "datetime": ("is not a time", "write for example 2027-06-30T09:15:00Z"),
    "tuple": ("is not a list", "write the items as a list, each after a dash"),
    "list": ("is not a list", "write the items as a list, each after a dash"),
    "dict": ("is not a block of fields", "write `name: value` lines below it"),
    "model": ("is not a block of fields", "write `name: value` lines below it"),
}


@dataclass(frozen=True)
class Finding:
    """Something wrong at a path of a file, found by a check beyond the model."""

    path: YamlPath
    message: str
    remedy: str = ""


def validate_yaml(
    model_class: type[ModelT],
    path: Path,
    error_class: type[NkloopError],
    *,
    check: Callable[[Any], Iterable[Finding]] | None = None,
) -> ModelT:
    """Read a YAML file into a model; all problems of the file come in one error, each with line and column.

    `check` looks at the plain data for what no model can see (references between parts); it must bear
    malformed data, because it also runs on files the model refuses, and answer by the data alone: a content that was
    read before gives the model it gave then.

    Raises:
        NkloopError: of `error_class`; each problem reads `file:line:column: field: value, reason, bound. Remedy: …`.
    """

    def read() -> ModelT:
        try:
            data, positions = load_yaml(path)
        except YamlSyntaxError as error:
            raise error_class.from_problems(error.problems) from error
        return validate_plain(model_class, data, positions, error_class, check=check)

    return read_once((model_class, check), (path,), read)


_MOST_READ = 32
_READ: dict[tuple[object, tuple[bytes, ...]], object] = {}
"""What sound files hold, by their content, the last read at the end; reading a recipe anew takes some hundred ms."""


def read_once(what: object, files: Iterable[Path], read: Callable[[], ReadT]) -> ReadT:
    """What files hold, read anew only when one of them has another content than before.

    Args:
        what: tells apart what is made of the same files; can be hashed.
        files: all that `read` looks at, in their order.
        read: gives something nobody changes; what it raises is raised, and asked for again the next time.
    """
    contents = tuple(_digest(path) for path in files)
    if not all(contents):
        return read()
    key = (what, contents)
    known = _READ.pop(key, None)
    if known is None:
        known = read()
    _READ[key] = known
    while len(_READ) > _MOST_READ:
        del _READ[next(iter(_READ))]
    return cast(ReadT, known)


def _digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b""  # told by the reader, with its reason


def validate_plain(
    model_class: type[ModelT],
    data: Any,
    positions: Positions,
    error_class: type[NkloopError],
    *,
    check: Callable[[Any], Iterable[Finding]] | None = None,
) -> ModelT:
    """Read plain data of which each value has a place in a file; as `validate_yaml`.

    Raises:
        NkloopError: of `error_class`; each problem reads `file:line:column: field: value, reason, bound. Remedy: …`.
    """
    if not isinstance(data, dict):
        raise error_class(
            f"the file holds {_shown(data)}, not fields",
            where=f"{positions.file}:1:1",
            remedy="start with `name: value` lines",
        )
    model, found = validate_part(model_class, data, positions)
    for finding in check(data) if check else ():
        where = f"{positions.where(finding.path)}: {field_path(data, finding.path)}"
        found.append((positions.of(finding.path), Problem(finding.message, where, finding.remedy)))
    if found or model is None:
        ordered = dict.fromkeys(problem for _, problem in sorted(found, key=lambda item: item[0]))
        raise error_class.from_problems(ordered)
    return model


def validate_part(
    model_class: type[ModelT], data: Any, positions: Positions, at: YamlPath = ()
) -> tuple[ModelT | None, list[tuple[tuple[int, int], Problem]]]:
    """The model of a part of a file, or None and what is wrong with it, each with its line and column.

    Args:
        model_class: what the part is.
        data: plain data of the whole file.
        positions: where in the file each value stands.
        at: path of the part; the whole file when not given.
    """
    part = data
    for step in at:
        part = _child(part, step)
    try:
        model = model_class.model_validate(part)
        found = [_mistaken((*at, *path), kind, data, positions) for path, kind in mistaken(model, part)]
        return (None if found else model), found
    except ValidationError as error:
        known = sorted(set(_field_names(model_class)))
        told = _told(error.errors(include_url=False))
        return None, [
            _translated(details, (*at, *details["loc"]), data, positions, _meant(details, told) or known)
            for details in told
        ]


def field_path(data: Any, path: YamlPath) -> str:
    """A path in words: a list item is called by its id, component or name, else by its place, counted from 1."""
    words = []
    for step in path:
        inside = _child(data, step)
        label = f".{step}" if isinstance(step, str) else f"[{step + 1}]"
        if isinstance(step, int) and isinstance(inside, Mapping):
            named = (inside.get(key) for key in ("id", "component", "name", "load_name"))
            label = next((f".{name[:_LONGEST_SHOWN]}" for name in named if isinstance(name, str) and name), label)
        words.append(label)
        data = inside
    return "".join(words).removeprefix(".") or "file"


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """The closest known word as a question, or an empty text."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return f"did you mean '{by_lower[near[0]]}'?" if near else ""


def one_of(word: object, known: Collection[str]) -> str:
    """The remedy for a name that is not known: the closest known one, else all of them."""
    return did_you_mean(word, known) or f"use one of: {', '.join(known)}"


def _told(found: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The errors to tell: of a pair without its items one, and none that only follows from others."""
    told: dict[object, Mapping[str, Any]] = {}
    for number, details in enumerate(found):
        if _follows_from_others(details):
            continue
        *around, last = details["loc"] or ("",)
        lacks_items = details["type"] == "missing" and isinstance(last, int)
        told[tuple(around) if lacks_items else number] = _lacking(details) if lacks_items else details
    return list(told.values())


def _follows_from_others(details: Mapping[str, Any]) -> bool:
    """A list is "too short" for pydantic when its items are refused; only a list that is short by itself is told."""
    value = details["input"]
    return details["type"] == "too_short" and isinstance(value, list) and len(value) >= details["ctx"]["min_length"]


def _lacking(details: Mapping[str, Any]) -> Mapping[str, Any]:
    """For pydantic the items of a pair are missing like fields; a person reads that the list is too short."""
    *around, index = details["loc"]
    return {**details, "type": "too_short", "loc": tuple(around), "ctx": {"min_length": index + 1}}


def _meant(details: Mapping[str, Any], told: Iterable[Mapping[str, Any]]) -> list[str]:
    """Fields missing in the block of an unknown one, when it is near to one of them: that is what was misspelt."""
    *block, name = details["loc"] or ("",)
    missing = [one["loc"][-1] for one in told if one["type"] == "missing" and list(one["loc"][:-1]) == block]
    return missing if did_you_mean(name, missing) else []


def _mistaken(path: YamlPath, kind: str, data: Any, positions: Positions) -> tuple[tuple[int, int], Problem]:
    value: Any = data
    for step in path:
        value = _child(value, step)
    reason, remedy = _WRONG_TYPE[kind]
    told = str(value).lower() if isinstance(value, bool) else _shown(value)
    return positions.of(path), Problem(f"{told} {reason}", f"{positions.where(path)}: {field_path(data, path)}", remedy)


def _translated(
    details: Mapping[str, Any], path: YamlPath, data: Any, positions: Positions, known: list[str]
) -> tuple[tuple[int, int], Problem]:
    at_key = details["type"] in {"extra_forbidden", "invalid_key"} or path[-1:] == ("[key]",)
    if path[-1:] == ("[key]",):
        path = path[:-1]
    message, remedy = worded(details, known)
    where = f"{positions.where(path, key=at_key)}: {field_path(data, path)}"
    return positions.of(path, key=at_key), Problem(message, where, remedy)


def worded(details: Mapping[str, Any], known: list[str]) -> tuple[str, str]:
    """Message and remedy of one of pydantic's errors; `known` are the field names a wrong one may have meant."""
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    name = details["loc"][-1] if details["loc"] else ""
    if kind == "missing":
        return f"field '{name}' is missing", f"add a line `{name}: …`"
    if kind == "extra_forbidden":
        others = [one for one in known if one != name]  # a field of another block is not what was meant here
        return f"field '{name}' is not known here", did_you_mean(name, others) or "check the spelling or remove it"
    if kind in _BOUNDS:
        template, key = _BOUNDS[kind]
        return f"{_shown(value)} {template.format(**{key: float(context[key])})}", "correct the number"
    if kind == "finite_number":
        return f"{_shown(value)} is not a finite number", "write a number"
    if kind == "literal_error":
        allowed = str(context["expected"])
        words = [word.strip(" '") for word in allowed.replace(" or ", ",").split(",")]
        return f"{_shown(value)} is not allowed here", did_you_mean(value, words) or f"write {allowed}"
    if kind == "string_pattern_mismatch":
        form = _FORMS.get(context["pattern"], f"it must match {context['pattern']}")
        return f"{_shown(value)} has a form that is not allowed", form
    if kind.endswith(("too_short", "too_long")):
        return _of_other_length(kind, value, context)
    stem = re.sub(r"(_from_\w+|_type|_parsing)$", "", re.sub(r"_(type|parsing|parsing_size)$", "", kind))
    if stem in _WRONG_TYPE:
        reason, remedy = _WRONG_TYPE[stem]
        return f"{_shown(value)} {reason}", remedy
    text = str(details["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message, _, remedy = text.partition(_SEPARATOR)
    return message, remedy


def _of_other_length(kind: str, value: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    bound, few = ("max_length", False) if kind.endswith("long") else ("min_length", True)
    number, thing = context[bound], "character" if kind.startswith("string") else "item"
    if value == "":
        return "the text is empty", "fill it in"
    wanted = f"{'at least' if few else 'at most'} {number} {thing}{'' if number == 1 else 's'}"
    message = f"{_shown(value)} is too {'short' if few else 'long'}, it takes {wanted}"
    pair = thing == "item" and number == 2
    return message, "write two items, like `[lowest, highest]`" if pair else f"write {wanted}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing (null)"
    if isinstance(value, Mapping):
        return "a block of fields"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = str(value)
    short = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    return f"'{short}'" if isinstance(value, str) else short


def _child(data: Any, step: str | int) -> Any:
    if isinstance(data, Mapping):
        return data.get(step)
    if isinstance(data, list) and isinstance(step, int) and step < len(data):
        return data[step]
    return None


def _field_names(model_class: type[BaseModel], seen: set[type] | None = None) -> Iterator[str]:
    seen = set() if seen is None else seen
    if model_class in seen:
        return
    seen.add(model_class)
    for name, field in model_class.model_fields.items():
        yield name
        for inner in models_in(field.annotation):
            yield from _field_names(inner, seen)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models that an annotation mentions, those inside lists and unions too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)
