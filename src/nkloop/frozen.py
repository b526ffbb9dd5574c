"""The base of every model that travels between rooms: frozen, validated, hashable by content."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """A value that can be saved, shown, hashed and replayed, and never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# Made once: `json.dumps` with these arguments makes one each time, and everything is hashed before every step.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """JSON of a model or of plain data with sorted keys, no spaces and no NaN: equal content is equal text."""
    return _CANONICAL.encode(value.model_dump(mode="json") if isinstance(value, BaseModel) else value)


def content_hash(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of a model or of plain data; equal content gives an equal hash."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
