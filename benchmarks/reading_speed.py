"""Reading what every command reads, against the slow way to the same answer.

The shipped YAML files by libyaml and by the loader in Python; the stock carried on from its last look, and replayed
from all its postings.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from ruamel.yaml import YAML

from nkloop.inventory import Inventory
from nkloop.records import Records
from nkloop.yamlfile import quick
from stopwatch import processor_seconds, show_machine, show_ratio

ROOT = Path(__file__).resolve().parents[1]
FILES = ("recipes/ucb-nk.yaml", "devices/lots/virtual.yaml", "labware/catalogue.yaml", "devices/virtual.yaml")
AT = datetime(2027, 1, 10, 9, tzinfo=UTC)
N_CORRECTIONS = 500
REPEATS = 5


def main() -> None:
    """Print how many times faster each is than the slow way to the same answer."""
    show_machine()
    for name in FILES:
        _show_file(name)
    with tempfile.TemporaryDirectory() as folder:
        _show_stock(Path(folder))


def _show_file(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    quick.compose("a: 1\n")
    slow = min(processor_seconds(lambda: YAML(typ="safe", pure=True).compose(text)) for _ in range(REPEATS))
    fast = min(processor_seconds(lambda: quick.compose(text)) for _ in range(REPEATS))
    show_ratio(f"{name}: {1000 * fast:.1f} ms, libyaml against Python", slow, fast, wanted=3)


def _show_stock(folder: Path) -> None:
    records = Records.open(folder)
    inventory = Inventory.load(ROOT / "devices" / "lots" / "virtual.yaml")
    imported = processor_seconds(lambda: records.stock.import_lots("lab", inventory, by="Ada", at=AT))
    vessels = [one for lot in inventory.lots for one in lot.vessels if lot.volume_ul > 0]
    for number in range(N_CORRECTIONS):
        one = vessels[number % len(vessels)]
        records.stock.adjust("lab", one.barcode, by="Ada", at=AT, reason="counted", volume_ul=one.volume_ul - 1)
    carried = min(processor_seconds(lambda: records.stock.inventory("lab")) for _ in range(REPEATS))
    replayed = []
    for _ in range(REPEATS):
        fresh = Records.open(folder)
        replayed.append(processor_seconds(lambda opened=fresh: opened.stock.inventory("lab")))  # type: ignore[misc]
        fresh.close()
    print(f"lot list of {len(vessels)} containers imported: {imported:.2f} s of processor time")
    title = f"stock of {len(vessels)} containers and {len(vessels) + N_CORRECTIONS} postings: {1000 * carried:.1f} ms"
    show_ratio(f"{title}, carried on against replayed", min(replayed), carried, wanted=5)
    records.close()


if __name__ == "__main__":
    main()
