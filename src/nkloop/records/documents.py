"""Models as text: canonical JSON, so that equal content is equal text."""

from __future__ import annotations

import json

from pydantic import BaseModel


def dump(model: BaseModel) -> str:
    """Canonical JSON of a model: sorted keys, no spaces, no NaN."""
    plain = model.model_dump(mode="json")
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
