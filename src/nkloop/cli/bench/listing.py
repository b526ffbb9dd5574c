"""`nkloop bench list`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nkloop.cli.common import JsonFlag, WorkspaceOption, find_workspace, print_json


def list_(workspace: WorkspaceOption = Path(), json_output: JsonFlag = False) -> None:
    """List the benches of the workspace; none of their devices is contacted."""
    rows = [_row(path) for path in sorted(find_workspace(workspace).devices.glob("*.yaml"))]
    if json_output:
        print_json({"benches": rows})
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    for row in rows:
        console.print(f"[bold]{escape(row['bench'])}[/]  {_told(row)}", soft_wrap=True)
        for what, value in _details(row):
            console.print(f"    {what}: {escape(value)}", soft_wrap=True)


def _told(row: dict[str, Any]) -> str:
    from rich.markup import escape

    if row["problem"]:
        return f"[red]{escape(row['problem'])}[/]"
    return f"{escape(row['title'])} ({'simulated' if row['simulated'] else '[red]REAL[/]'})"


def _details(row: dict[str, Any]) -> list[tuple[str, str]]:
    if row["problem"]:
        return []
    told = [
        ("robot", row["liquid_handler"]),
        ("reader", row["plate_reader"] + (f": {'; '.join(row['reads'])}" if row["reads"] else "")),
        ("counter", row["cell_counter"]),
        ("operator", row["operator"]),
        ("inbox", row["inbox"] or ""),
        ("locks", ", ".join(row["locks"])),
    ]
    return [(what, value) for what, value in told if value]


def _row(path: Path) -> dict[str, Any]:
    from nkloop.drivers.bench import DEVICES, load_bench_file
    from nkloop.errors import BenchError

    try:
        file = load_bench_file(path)
    except BenchError as error:
        return {"bench": path.stem, "problem": str(error.problems[0])}
    specs = {name: getattr(file, name) for name in DEVICES}
    devices = {name: spec.model or spec.driver.partition(":")[2] for name, spec in specs.items()}
    return {
        "bench": file.name,
        "title": file.title,
        "simulated": file.simulated,
        "robot": file.deck.model,
        **devices,
        "reads": [mode.words for mode in file.plate_reader.modes],
        "inbox": file.inbox.folder if file.inbox else None,
        "locks": list(file.locks),
        "problem": "",
    }
