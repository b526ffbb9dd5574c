"""What the devices of a bench may ask for where there is a database: inbox, requests to people, book of scans."""

from __future__ import annotations

from typing import Any

from nkloop.assays.readings.files import InstrumentFiles
from nkloop.drivers.bench_file import BenchFile
from nkloop.labware import Catalogue
from nkloop.records import Records
from nkloop.runs.inbox import inbox_of
from nkloop.runs.inbox.deliveries import InboxDeliveries
from nkloop.runs.requests import JournalledScans, RequestDesk
from nkloop.workspace import Workspace


def desks(
    workspace: Workspace, file: BenchFile, records: Records, vendor: InstrumentFiles, catalogue: Catalogue
) -> dict[str, Any]:
    """Parameter name of a device class to what it gets.

    Raises:
        BenchError: the folder of the inbox is in a variable that is not set.
    """
    offered: dict[str, Any] = {
        "requests": RequestDesk(records, file.name),
        "scan_book": JournalledScans(records, file.name),
    }
    if file.inbox is not None:
        offered["deliveries"] = InboxDeliveries(inbox_of(workspace, file, records, vendor, catalogue))
    return offered
