"""Kills flow, robot, Prefect server and flow runner in the middle of procedures, hundreds of times, and counts.

Flex and OT-2 behind their robot server, and on top a STAR driven step by step, repairs, plates read on the deck of a
Flex, Prefect server and flow runner.

`uv run python benchmarks/crash_storm.py --crashes 500 --beside 6`; exit code 1 when any statement is broken. Files of
the crashes that broke one stay in `--folder`; `--only NUMBER` stages that one again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nkloop.vendor import answers_folder
from stopwatch import show_machine

LAB = Path(__file__).resolve().parents[1] / "tests" / "crashes"
_INSTANT = re.compile(r"(?P<phase>before|torn|after) (?P<kind>write|request) '(?P<name>[^']*)'")
Report = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every broken statement as it comes, then the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crashes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first-steps", type=int, help="only so many steps of each procedure, to save time")
    parser.add_argument("--whole-up-to", type=int, help="procedures of so many steps are run whole all the same")
    parser.add_argument("--only", type=int, help="stage this crash only")
    parser.add_argument("--beside", type=int, default=1, help="so many crashes beside each other")
    parser.add_argument("--server-crashes", type=int, default=60, help="so many of them of the Prefect server")
    parser.add_argument("--worker-crashes", type=int, default=60, help="so many of them of the flow runner")
    parser.add_argument("--reports", type=Path, help="file that gets the report of every crash, a line of JSON each")
    parser.add_argument("--star-crashes", type=int, default=30, help="crashes of a flow that drives a STAR, on top")
    parser.add_argument("--reading-crashes", type=int, default=30, help="crashes while a plate is read, on top")
    parser.add_argument("--folder", type=Path, help="where crashes that broke a statement leave their files")
    given = parser.parse_args(arguments)
    show_machine()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crash-storm-") as temporary:
        reports = []
        for report in _all(given, Path(temporary)):
            reports.append(report)
            if given.reports is not None:
                with given.reports.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(report) + "\n")
    broken = [report for report in reports if report["problems"]]
    _show(reports, broken, time.monotonic() - started)
    return 1 if broken or (given.only is None and len(reports) < given.crashes) else 0


def _all(given: argparse.Namespace, temporary: Path) -> Iterator[Report]:
    """Everything that is staged."""
    if given.only is None and given.worker_crashes:
        yield from map(_served, ("runner", "everything"))
    if given.only is None and given.star_crashes:
        yield from _lab("stepwise", {"crashes": given.star_crashes, "seed": given.seed, "beside": given.beside})
        yield from _lab("repairs", {})
    if given.only is None and given.reading_crashes:
        yield from _lab("readings", {"crashes": given.reading_crashes, "seed": given.seed, "beside": given.beside})
    yield from _staged(given, temporary)


def _staged(given: argparse.Namespace, temporary: Path) -> Iterator[Report]:
    """Crashes as they come; what is broken is printed at once."""
    options = {"crashes": given.crashes, "seed": given.seed, "first-steps": given.first_steps, "only": given.only}
    options |= {"beside": given.beside, "whole-up-to": given.whole_up_to}
    options |= {"server-crashes": given.server_crashes, "worker-crashes": given.worker_crashes}
    options |= {"folder": given.folder or temporary, "analyses": answers_folder() or temporary / "analyses"}
    yield from _lab("director", options)


def _served(victim: str) -> Report:
    """A run of a deployment whose runner is killed, alone or with its flow process."""
    (outcome,) = _printed("served", [victim])
    told = {"number": 0, "procedure": "medium_preparation", "victim": f"flow runner ({victim})", "struck": True}
    return _noted({**outcome, **told, "instant": "in mid-run"})


def _lab(command: str, options: dict[str, Any]) -> Iterator[Report]:
    told = [part for name, value in options.items() if value is not None for part in (f"--{name}", str(value))]
    for report in _printed(command, told):
        yield _noted(report)


def _noted(report: Report) -> Report:
    for problem in report["problems"]:
        print(f"BROKEN crash {report['number']}, {_title(report)}: {problem}", flush=True)
    return report


def _printed(command: str, arguments: list[str]) -> Iterator[Report]:
    """What a command of the crash lab prints, line by line."""
    environment = {**os.environ, "PYTHONPATH": str(LAB), "OPENBLAS_NUM_THREADS": "1"}
    started = [sys.executable, "-m", f"crash_lab.{command}", *arguments]
    with subprocess.Popen(started, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)


def _title(report: Report) -> str:
    return f"{report['procedure']}, {report['victim']} killed {report['instant']}"


def transition_of(instant: str) -> str:
    """The transition an instant belongs to, without its count, as `write append_events sent`; else what was hit."""
    match = _INSTANT.search(instant)
    if match:
        return f"{match['kind']} {match['name']}"
    return next((known for known in ("physical command", "in mid-run") if known in instant), "at random")


def _show(reports: Sequence[Report], broken: Sequence[Report], seconds: float) -> None:
    struck = [report for report in reports if report["struck"]]
    print(f"{len(reports)} crashes staged, {len(struck)} struck, {len(broken)} broke a statement; {seconds:.0f} s")
    for what in ("victim", "procedure"):
        print(f"by {what}: {_counted(report[what] for report in struck)}")
    print(f"by state of the run afterwards: {_counted(state for report in struck for state in report['states'])}")
    events = Counter[str]()
    for report in struck:
        events.update(report["events"])
    print(f"decisions: {_counted(kind for report in struck for kind in report.get('decisions', ()))}")
    refusals = [told.partition(": ")[0] for report in struck for told in report.get("refused", ())]
    followed = sum(report.get("followed", 0) for report in struck)
    print(f"runs that carried on and succeeded: {followed}; refused: {_counted(iter(refusals)) or 'none'}")
    print(f"steps afterwards: {', '.join(f'{event} {n}' for event, n in sorted(events.items()))}")
    for victim in ("prefect server", "worker"):
        hit = {(one["procedure"], one["instant"]) for one in struck if one["victim"].startswith(victim)}
        kinds = {(procedure, "again" in instant, transition_of(instant)) for procedure, instant in hit}
        counts = _counted(procedure for procedure, _, _ in kinds)
        print(f"kinds of write at which the {victim} was killed: {counts or 'none'}")
    print("by transition:")
    for transition, n in sorted(Counter(transition_of(report["instant"]) for report in struck).items()):
        print(f"  {n:4d}  {transition}")


def _counted(names: Iterator[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(Counter(names).items()))


if __name__ == "__main__":
    raise SystemExit(main())
