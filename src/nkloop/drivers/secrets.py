"""Values that stand in no file: `${NAME}` from the environment, `${block:NAME}` from a Prefect block."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nkloop.errors import BenchError
from nkloop.yamlfile import Finding

ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
BLOCK = re.compile(r"\$\{block:([A-Za-z0-9][A-Za-z0-9-]*)\}")
_PLACE = re.compile(rf"{ENVIRONMENT.pattern}|{BLOCK.pattern}")
_SECRET_NAME = re.compile(
    r"(^|_)(secret|token|password|passwd|passphrase|pwd|api_?key|access_?key|private_?key|credentials?|bearer|"
    r"authorization)($|_)",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"^(bearer|basic)\s+\S{8,}$|^eyJ[\w-]+\.[\w-]+\.|^(gh[pousr]_|glpat-|xox[abp]-|sk-)\w{12,}|"
    r"-----BEGIN [A-Z ]*PRIVATE KEY",
    re.IGNORECASE,
)
"""Forms that nothing but a secret has: authorization headers, signed tokens, keys with a maker's prefix."""
_USER_IN_URL = re.compile(r"^[a-z][a-z0-9+.-]*://[^/@\s]*:([^/@\s]+)@", re.IGNORECASE)

BlockReader = Callable[[str], str]
"""Gives the secret a Prefect block holds; raises BenchError when there is none."""


def _nobody(name: str) -> str:
    raise BenchError(
        f"the value is in Prefect block '{name}', and nothing here reads blocks",
        remedy="run it from a flow or from `nkloop`, or write ${NAME} and set the variable in the environment",
    )


_reader: BlockReader = _nobody


def read_blocks_with(reader: BlockReader) -> None:
    """Say how blocks are read; drivers know no Prefect, so whoever coordinates them says it."""
    global _reader
    _reader = reader


def unclosed_places(value: Any, path: tuple[str | int, ...]) -> Iterator[Finding]:
    """Texts of a settings tree with a `${` that is filled by nothing."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from unclosed_places(inner, (*path, key))
    if isinstance(value, str) and "${" in _PLACE.sub("", value):
        remedy = "write ${NAME} for a variable of the environment, ${block:NAME} for a Prefect Secret block"
        yield Finding(path, f"'{value}' has a ${{ that is neither a variable nor a block", remedy)


def fill_variables(value: Any, where: str, environment: Mapping[str, str] | None = None) -> Any:
    """Replace `${NAME}` and `${block:NAME}` in every text of a settings tree.

    Raises:
        BenchError: a variable is not set (all of one text are named), or a block cannot be read.
    """
    known = os.environ if environment is None else environment
    if isinstance(value, Mapping):
        return {key: fill_variables(inner, f"{where}.{key}", known) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [fill_variables(inner, where, known) for inner in value]
    if not isinstance(value, str):
        return value
    missing = [name for name in ENVIRONMENT.findall(value) if not known.get(name)]
    if missing:
        raise BenchError(
            f"environment variable {', '.join(missing)} is not set",
            where=where,
            remedy=_remedy(missing[0]),
        )
    # both in one pass: what a secret holds is never looked at for places to fill
    return _PLACE.sub(lambda match: known[match[1]] if match[1] else _block(match[2], where), value)


def _remedy(variable: str) -> str:
    if variable == "NKLOOP_VIRTUAL_URL":
        return (
            "start a virtual bench with `nkloop virtual-robot` and set the address it tells; `nkloop run`, `serve`, "
            "`demo` and `bench check` start their own"
        )
    return f"set it before the command: export {variable}=VALUE"


def _block(name: str, where: str) -> str:
    try:
        return _reader(name)
    except BenchError as error:
        told = error.problems[0]
        raise BenchError(told.message, where=where, remedy=told.remedy) from error


def literal_secrets(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[Finding]:
    """Passwords, tokens and keys that stand in a file in plain text; what is filled from outside is none."""
    if isinstance(data, Mapping):
        for key, inner in data.items():
            yield from literal_secrets(inner, (*path, key))
    elif isinstance(data, list):
        for index, inner in enumerate(data):
            yield from literal_secrets(inner, (*path, index))
    elif isinstance(data, str) and (told := _as_secret(data, path)):
        yield Finding(
            path,
            f"{told} stands in the file in plain text",
            "write ${NAME} and set the variable NAME, or ${block:name} and save it in a Prefect Secret block; "
            "then change the secret, for this one has been written down",
        )


def _as_secret(text: str, path: tuple[str | int, ...]) -> str:
    """What kind of secret a text is, empty when it is none; never the text itself."""
    bare = _PLACE.sub("", text).strip()
    if not bare:
        return ""
    name = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
    if _SECRET_NAME.search(name):
        return f"the value of '{name}'"
    if (match := _USER_IN_URL.match(text)) and _PLACE.sub("", match[1]):
        return "a password inside an address"
    return "something that has the form of a token or key" if _SECRET_VALUE.search(bare) else ""
