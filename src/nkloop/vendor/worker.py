# /// script
# requires-python = ">=3.11,<3.13"
# dependencies = ["opentrons==9.0.0", "allotropy"]
#
# [tool.uv]
# exclude-newer = "2026-11-20T00:00:00Z"
# ///
"""The vendor environment: one JSON object per line in, one per line out.

Runs as a script of its own (`uv run --script worker.py`), because Opentrons and allotropy cannot share an environment
with Prefect. It imports nothing of this package. The first line it writes is `{"ready": true, ...}`; then every request
`{"id", "job", ...}` is answered by `{"id", "ok": true, "value"}` or `{"id", "ok": false, "error"}`, in order.

What protocols print goes to stderr. When stdin closes, the worker removes its folder and ends at once, even in the
middle of a job: nobody is left to read the answer.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

Json = dict[str, Any]

HOME = Path(os.environ.get("NKLOOP_WORKER_HOME") or tempfile.mkdtemp(prefix="nkloop-vendor-"))
# Opentrons writes a configuration folder at import; it belongs to this process, never to the user.
os.environ["OT_API_CONFIG_DIR"] = str(HOME / "opentrons")
os.environ["HOME"] = str(HOME)


@cache
def _analyser() -> Any:
    """Module with the analysis, loaded when first needed: an instrument file needs none of it.

    The name `opentrons.cli.analyze` itself is taken by a click command.
    """
    import_module("opentrons.cli")
    module = import_module("opentrons.cli.analyze")
    # The imports leave a million objects that live for ever; looking through them again costs a sixth of every job.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    return module


def analyse(request: Json) -> Json:
    """Analyse one protocol file with its parameters, CSV and labware definitions."""
    _analyser()
    folder = Path(tempfile.mkdtemp(dir=HOME))
    try:
        return asyncio.run(_analyse(request, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _analyse(request: Json, folder: Path) -> Json:
    from opentrons.protocol_reader import ProtocolFilesInvalidError, ProtocolReader

    protocol = folder / request["name"]
    protocol.write_text(request["protocol"], encoding="utf-8")
    files = [protocol]
    for number, definition in enumerate(request.get("labware", [])):
        files.append(folder / f"labware-{number}.json")
        files[-1].write_text(json.dumps(definition), encoding="utf-8")
    csv = {}
    if request.get("csv"):
        csv[request["csv_parameter"]] = folder / "worklist.csv"
        csv[request["csv_parameter"]].write_text(request["csv"], encoding="utf-8")
    try:
        source = await ProtocolReader().read_saved(files=files, directory=None)
    except ProtocolFilesInvalidError as error:
        return {"result": "invalid", "errors": [{"errorType": "ProtocolFilesInvalidError", "detail": str(error)}]}
    # Private, but the only warm entry: the public one starts a process of 4 to 6 s for each protocol.
    outcome = await _analyser()._do_analyze(source, request.get("values", {}), csv)
    return _told(outcome, source.robot_type)


def _told(outcome: Any, robot_type: str) -> Json:
    summary = outcome.state_summary

    def plain(models: Any) -> list[Json]:
        return [model.model_dump(mode="json", exclude_none=True) for model in models]

    waits_for_value = any(_has_code(error, "4010") for error in summary.errors)
    return {
        "result": "parameter-value-required" if waits_for_value else "not-ok" if summary.errors else "ok",
        "robotType": robot_type,
        "errors": plain(summary.errors),
        # A labware definition is most of the bytes of an analysis, and the reader has it already.
        "commands": [
            command.model_dump(mode="json", exclude_none=True, exclude={"result": {"definition"}})
            for command in outcome.commands
        ],
        "labware": plain(summary.labware),
        "pipettes": plain(summary.pipettes),
        "modules": plain(summary.modules),
        "liquids": plain(summary.liquids),
        "runTimeParameters": plain(outcome.parameters),
    }


def _has_code(error: Any, code: str) -> bool:
    return error.errorCode == code or any(_has_code(cause, code) for cause in error.wrappedErrors)


def validate_labware(request: Json) -> list[str]:
    """Sentences of what the maker's own schema and loader refuse in a labware definition."""
    from opentrons.protocols.labware import verify_definition
    from opentrons_shared_data.labware import labware_definition
    from pydantic import ValidationError

    definition, refused = request["definition"], []
    try:
        labware_definition.labware_definition_type_adapter.validate_python(definition)
    except ValidationError as error:
        refused += [_sentence(item) for item in error.errors()]
    try:
        verify_definition(json.dumps(definition))
    except Exception as error:  # noqa: BLE001 - whatever the vendor raises is the answer to the question asked
        cause: Any = error.__cause__ or error.__context__ or error
        place = ".".join(map(str, getattr(cause, "absolute_path", ())))
        refused.append(f"{place or 'definition'}: {getattr(cause, 'message', cause)}"[:400])
    return list(dict.fromkeys(refused))


def _sentence(item: Any) -> str:
    """A refusal of the loader, without the names of the alternatives it tried."""
    place = [str(part) for part in item["loc"][1:]]
    place = [part for part in place if not part.startswith("constrained-")]
    given = f" (given {item['input']!r})" if isinstance(item["input"], str | int | float) else ""
    return f"{'.'.join(place) or 'definition'}: {item['msg']}{given}"


def labware_definition(request: Json) -> Json:
    """The maker's definition of a standard labware."""
    from opentrons.protocols.labware import get_labware_definition

    found: Any = get_labware_definition(request["load_name"], request["namespace"], request["version"])
    plain: Json = json.loads(json.dumps(found))
    return plain


def parse_instrument_file(request: Json) -> Json:
    """An instrument file as an Allotrope simple model."""
    from allotropy.parser_factory import Vendor  # slow to import: only instrument files need it
    from allotropy.to_allotrope import allotrope_from_file

    known = [vendor.name for vendor in Vendor]
    if request["vendor"] not in known:
        raise ValueError(f"vendor {request['vendor']!r} is not one of {', '.join(sorted(known))}")
    parsed: Json = allotrope_from_file(request["path"], Vendor[request["vendor"]])
    return parsed


def ping(request: Json) -> Json:
    """Load what an analysis needs, which takes seconds; tell the versions of what this environment holds."""
    _analyser()
    return _versions()


def _versions() -> Json:
    from importlib.metadata import version

    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "opentrons": version("opentrons"),
        "allotropy": version("allotropy"),
        "pid": os.getpid(),
    }


JOBS: dict[str, Callable[[Json], Any]] = {
    job.__name__: job for job in (analyse, validate_labware, labware_definition, parse_instrument_file, ping)
}


def _end() -> None:
    shutil.rmtree(HOME, ignore_errors=True)
    os._exit(0)


def _read_requests(waiting: queue.Queue[Json]) -> None:
    for line in sys.stdin:
        waiting.put(json.loads(line))
    _end()


def _answer(request: Json) -> Json:
    try:
        return {"id": request["id"], "ok": True, "value": JOBS[request["job"]](request)}
    except Exception as error:  # noqa: BLE001 - one bad job must not end the worker; the client tells the error
        return {"id": request["id"], "ok": False, "error": f"{type(error).__name__}: {error}"[:2000]}


def main() -> None:
    """Answer requests until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    HOME.mkdir(parents=True, exist_ok=True)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever a protocol or a library prints must not end up among the answers
    waiting: queue.Queue[Json] = queue.Queue()
    threading.Thread(target=_read_requests, args=(waiting,), daemon=True).start()
    import logging

    logging.disable(logging.WARNING)  # calibration files no simulation has
    answers.write(json.dumps({"ready": True, **_versions()}) + "\n")
    while True:
        answers.write(json.dumps(_answer(waiting.get())) + "\n")


if __name__ == "__main__":
    main()
