"""A lot list out of a spreadsheet is the same list as YAML, whatever the separator, the headers and the ending."""

from __future__ import annotations

import csv
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nkloop.errors import InventoryError
from nkloop.inventory import Inventory
from nkloop.quantities import Amount, Kind
from nkloop.runs.lot_files import load_lots

HEADER = ("Lot ID", "Component", "Lot number", "Supplier", "Concentration", "Specific activity", "Certificate",
          "Certificate date", "Buffer", "Container barcode", "Container kind", "Count", "Remaining volume (mL)",
          "Expiry date", "Opened", "In-use life (d)", "Freeze-thaw count", "Storage", "Light sensitive",
          "Price EUR")  # fmt: skip
ROWS = (
    ("IL2-1", "IL-2", "A1", "maker", "100 µg/mL", "16.4e6 IU/mg", "CoA-7", "2026-11-01", "acetate 10 mM; DMSO 1 % v/v",
     "V-1", "cryovial", "", "0.2", "2027-12-31", "2026-11-20", "7", "1", "4 °C", "yes", "300"),
    ("IL2-1", "", "", "", "", "", "", "", "", "V-2", "cryovial", "3", "0.25", "", "", "", "", "", "", ""),
    ("PBS-1", "PBS", "B2", "maker", "100 % v/v", "", "", "", "", "", "", "", "500", "2028-01-31", "", "", "",
     "20 °C", "", ""),
)  # fmt: skip


@pytest.fixture
def expected() -> Inventory:
    vials = [{"barcode": "V-1", "kind": "cryovial", "volume": "0.2 mL", "opened": "2026-11-20", "freeze_thaws": 1}]
    vials += [{"barcode": f"V-2-0{n}", "kind": "cryovial", "volume": "0.25 mL"} for n in (1, 2, 3)]  # type: ignore[dict-item]
    il2 = {
        "id": "IL2-1", "component": "IL-2", "lot_number": "A1", "supplier": "maker", "concentration": "100 µg/mL",
        "specific_activity": "16.4e6 IU/mg", "certificate": {"id": "CoA-7", "issued": "2026-11-01"},
        "buffer": {"acetate": "10 mM", "DMSO": "1 % v/v"}, "containers": vials, "expires": "2027-12-31",
        "opened_life": "7 d", "storage": "4 °C", "light_sensitive": True, "price_eur": 300,
    }  # fmt: skip
    pbs = {
        "id": "PBS-1", "component": "PBS", "lot_number": "B2", "supplier": "maker", "concentration": "100 % v/v",
        "volume": "500 mL", "expires": "2028-01-31", "storage": "20 °C",
    }  # fmt: skip
    return Inventory.model_validate({"title": "fridge", "lots": [il2, pbs]})


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_csv_is_read(tmp_path: Path, expected: Inventory, separator: str, encoding: str) -> None:
    path = tmp_path / "fridge.csv"
    with path.open("w", encoding=encoding, newline="") as out:
        csv.writer(out, delimiter=separator).writerows((HEADER, *ROWS))
    assert load_lots(path) == expected


def test_a_workbook_with_real_dates_and_numbers_is_read(tmp_path: Path, expected: Inventory) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(HEADER)
    for row in ROWS:
        cells: list[object] = list(row)
        for at in (7, 13, 14):
            cells[at] = datetime.fromisoformat(str(cells[at])) if cells[at] else None
        for at in (11, 12, 15, 16, 19):
            cells[at] = float(str(cells[at])) if cells[at] else None
        sheet.append(cells)
    book.save(tmp_path / "fridge.xlsx")
    assert load_lots(tmp_path / "fridge.xlsx") == expected


def test_yaml_is_read_by_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "lots.yml"
    path.write_text("lots: []\n", encoding="utf-8")
    assert load_lots(path).lots == ()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    volumes=st.lists(st.floats(0.001, 5000, allow_nan=False), min_size=1, max_size=5),
    expires=st.dates(date(2026, 1, 1), date(2040, 12, 31)),
)
def test_what_is_written_is_read_back(tmp_path: Path, volumes: list[float], expires: date) -> None:
    head = "lot,component,lot number,supplier,concentration,container,volume,expires"
    lines = [f"L,SCF,1,m,100 µg/mL,V-{n},{volume!r} µL,{expires}" for n, volume in enumerate(volumes)]
    path = tmp_path / "lots.csv"
    path.write_text("\n".join((head, *lines)), encoding="utf-8")
    (lot,) = load_lots(path).lots
    assert [one.volume for one in lot.containers] == [Amount(volume, Kind.VOLUME.value) for volume in volumes]
    assert lot.volume_ul == pytest.approx(sum(volumes))
    assert lot.expires == expires


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r"cannot be read: No such file.*Remedy"):
        load_lots(tmp_path / "absent.csv")
