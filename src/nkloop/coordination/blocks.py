"""Secrets out of Prefect blocks, for the `${block:NAME}` of bench files."""

from __future__ import annotations

from nkloop.errors import BenchError

_REMEDY = "save it as a Secret block: prefect block create secret, or Blocks in the Prefect UI; check PREFECT_API_URL"


def read_block(name: str) -> str:
    """The text a Prefect Secret block holds.

    Raises:
        BenchError: there is no such block, it holds no text, or the Prefect server does not answer.
    """
    from prefect.blocks.system import Secret

    try:
        found = Secret.load(name, _sync=True)
    # Prefect raises ValueError for an absent block, its own errors for a silent server and httpx's for a broken one.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BenchError(f"Prefect block '{name}' cannot be read: {reason}", remedy=_REMEDY) from error
    value = found.get()
    if not isinstance(value, str) or not value:
        raise BenchError(f"Prefect block '{name}' holds no text", remedy=_REMEDY)
    return value
