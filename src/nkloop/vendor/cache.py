"""Answers of the vendor environment on disk, by the hash of what was asked."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from nkloop.frozen import content_hash

CACHE_VARIABLE = "NKLOOP_VENDOR_CACHE"
"""Environment variable with a folder for the answers of every workspace, for example one a CI job keeps."""


def answers_folder(state: Path | None = None) -> Path | None:
    """Where answers are kept: `NKLOOP_VENDOR_CACHE`, else `analyses` in the state folder of a workspace, else nowhere.

    Answers are named by the hash of all they depend on, so workspaces may share a folder.
    """
    if shared := os.environ.get(CACHE_VARIABLE):
        return Path(shared)
    return None if state is None else state / "analyses"


class DiskCache:
    """Files named by content hash; without a folder it remembers nothing."""

    def __init__(self, folder: Path | None, worker_version: str) -> None:
        """`worker_version` is part of every key: another vendor environment may answer differently."""
        self._folder = folder
        self._worker_version = worker_version

    def key(self, job: str, asked: dict[str, Any]) -> str:
        """Hash of the job and of everything its answer depends on."""
        return content_hash({"worker": self._worker_version, "job": job, "asked": asked})

    def get(self, key: str) -> Any | None:
        """The answer, or None when it is not there or not readable."""
        if self._folder is None:
            return None
        try:
            return json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def put(self, key: str, answer: Any) -> None:
        """Keep an answer; readers see the whole file or none."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f".{key}.{os.getpid()}"
        partial.write_text(json.dumps(answer, separators=(",", ":")), encoding="utf-8")
        partial.replace(self._folder / f"{key}.json")
