"""Settings of the devices of a bench file against what their drivers take, each with the line of the value itself.

Only classes of nkloop are looked at here: to import another may need its library, and is left to whoever builds it.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from pydantic import ConfigDict, TypeAdapter, ValidationError

from nkloop.errors import without_password
from nkloop.yamlfile import Finding
from nkloop.yamlfile.problems import did_you_mean, worded

OWN = "nkloop."
"""Beginning of the drivers that are checked here."""
OFFERED = frozenset({"name", "protocols", "catalogue", "deck", "trash_slot", "state_folder", "workspace", "bench_name"})
"""What a bench gives to its drivers without its being a setting."""
REAL_POLL_S, SIMULATED_POLL_S = (1.0, 5.0), (0.02, 10.0)
"""Shortest and longest time between two looks at a device, in s."""
_PLAIN = (str, int, float, bool, NoneType)
_MANY = (list, tuple, dict, Sequence, Mapping, Union, UnionType)


def settings_findings(data: Any, devices: Sequence[str]) -> Iterator[Finding]:
    """Findings on the plain data of a bench file, which may be malformed."""
    for device in devices:
        block = data.get(device) if isinstance(data, dict) else None
        settings = block.get("settings", {}) if isinstance(block, dict) else None
        driver = _own_driver(block.get("driver")) if isinstance(block, dict) else None
        if driver is None or not isinstance(settings, dict):
            continue
        is_real = data.get("simulated") is False and settings.get("simulated") is not True
        for one in (*_of_driver(driver, settings), *_of_poll(settings, is_real=is_real), *_of_url(settings)):
            yield Finding((device, "settings", *one.path), one.message, one.remedy)


def _own_driver(path: Any) -> type | None:
    """The class, where it is one of nkloop's and there; one that is not is told where it is built."""
    if not isinstance(path, str) or not path.startswith(OWN):
        return None
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception:  # noqa: BLE001 a library that a driver needs may be absent or broken
        return None
    return found if isinstance(found, type) else None


def unknown_settings(driver: type, settings: Mapping[Any, Any]) -> Iterator[Finding]:
    """Settings that the class of a device does not take, each with its path in them."""
    takes = inspect.signature(driver).parameters
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in takes.values()):
        return
    for key in settings:
        if key not in takes:
            hint = did_you_mean(key, takes.keys() - settings.keys()) or f"it takes: {', '.join(takes)}"
            yield Finding((str(key),), f"{driver.__name__} takes no '{key}'", hint)


def _of_driver(driver: type, settings: Mapping[Any, Any]) -> Iterator[Finding]:
    takes = inspect.signature(driver).parameters
    yield from unknown_settings(driver, settings)
    for key, value in settings.items():
        if key in takes:
            yield from _of_type(key, value, _annotation(driver, key))
    for key, one in takes.items():
        is_needed = one.default is inspect.Parameter.empty and one.kind is not inspect.Parameter.VAR_KEYWORD
        if is_needed and key not in settings and key not in OFFERED and _is_plain(_annotation(driver, key)):
            yield Finding((), f"{driver.__name__} needs '{key}'", f"add a line `{key}: …`")
    look = getattr(driver, "settings_findings", None)
    if look is not None:
        yield from look(settings)


def _annotation(driver: type, key: str) -> Any:
    """Type of a parameter; `Any` where it is not known here."""
    made = driver.__init__  # type: ignore[misc]
    told = SimpleNamespace(__annotations__={key: made.__annotations__.get(key, Any)})
    try:
        return get_type_hints(told, globalns=made.__globals__)[key]
    except (NameError, TypeError):
        return Any


def _of_type(key: str, value: Any, wanted: Any) -> Iterator[Finding]:
    if not _is_plain(wanted) or _has_place(value):
        return
    kinds = get_args(wanted) if get_origin(wanted) in {Union, UnionType} else (wanted,)
    failed: list[Any] = []
    for kind in kinds:
        try:
            TypeAdapter(_as_in_yaml(kind), config=ConfigDict(strict=True)).validate_python(value)
        except ValidationError as error:
            failed += [] if kind is NoneType else error.errors(include_url=False)[:1]
        else:
            return
    for details in failed[:1]:
        yield Finding((key, *details["loc"]), *worded(details, []))


def _is_plain(kind: Any) -> bool:
    origin = get_origin(kind)
    if origin is Literal or kind in _PLAIN or kind is Any:
        return True
    return origin in _MANY and all(_is_plain(one) for one in get_args(kind) if one is not Ellipsis)


def _as_in_yaml(kind: Any) -> Any:
    """YAML knows one kind of list and one of blocks; a driver may ask for them under other names."""
    origin, items = get_origin(kind), get_args(kind)
    if origin in {tuple, Sequence}:
        return list.__class_getitem__(items[0])
    return dict.__class_getitem__(items) if origin is Mapping else kind


def _has_place(value: Any) -> bool:
    """Whether the value is filled in later, from the environment or a block."""
    return isinstance(value, str) and "${" in value


def _of_poll(settings: Mapping[Any, Any], *, is_real: bool) -> Iterator[Finding]:
    seconds = settings.get("poll_seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return
    low, high = REAL_POLL_S if is_real else SIMULATED_POLL_S
    if not low <= seconds <= high:
        kind = "real" if is_real else "simulated"
        why = "; robots that are asked more often have stalled in mid-run" if is_real and seconds < low else ""
        told = f"{seconds:g} s, a {kind} device is looked at every {low:g} to {high:g} s{why}"
        yield Finding(("poll_seconds",), told, "write 2" if is_real else "correct the number")


def _of_url(settings: Mapping[Any, Any]) -> Iterator[Finding]:
    url = settings.get("url")
    if not isinstance(url, str) or _has_place(url):
        return
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_good = False
    if not is_good:
        told = f"'{without_password(url)}' is no address" if url else "the address is empty"
        yield Finding(("url",), told, "write it like http://192.0.2.10:31950")
