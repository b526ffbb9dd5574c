# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
"""A worker that does what the text of the protocol says: ok, sleep N, crash, crash once PATH, flood, long, refuse."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

HOME = os.environ["NKLOOP_WORKER_HOME"]
Path(HOME, "started").touch()


def obey(words: list[str]) -> dict[str, Any]:
    if words[0] == "sleep":
        time.sleep(float(words[1]))
    if words[0] == "crash" and not (len(words) > 1 and Path(words[2]).exists()):
        if len(words) > 1:
            Path(words[2]).touch()
        sys.stderr.write("cannot map memory at 0xBAD\n")
        sys.stderr.flush()
        os._exit(3)
    if words[0] == "flood":
        sys.stderr.write("x" * 3_000_000 + "\n")
    if words[0] == "refuse":
        raise ValueError("no such protocol")
    said = "y" * 3_000_000 if words[0] == "long" else " ".join(words)
    return {"result": "ok", "commands": [{"commandType": "comment", "params": {"message": said}}], "pid": os.getpid()}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        value = obey(request.get("protocol", "ok").split()) if request["job"] == "analyse" else {"pid": os.getpid()}
        return {"id": request["id"], "ok": True, "value": value}
    except ValueError as error:
        return {"id": request["id"], "ok": False, "error": str(error)}


requests: list[dict[str, Any]] = []
arrived = threading.Semaphore(0)


def read() -> None:
    for line in sys.stdin:
        requests.append(json.loads(line))
        arrived.release()
    shutil.rmtree(HOME, ignore_errors=True)
    os._exit(0)


threading.Thread(target=read, daemon=True).start()
sys.stdout.write(json.dumps({"ready": True}) + "\n")
sys.stdout.flush()
while True:
    arrived.acquire()
    sys.stdout.write(json.dumps(answer(requests.pop(0))) + "\n")
    sys.stdout.flush()
