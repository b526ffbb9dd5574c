"""The database as one object."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from nkloop.records.audit import Audit
from nkloop.records.campaigns import Campaigns
from nkloop.records.claims import Claims
from nkloop.records.database import Database, database_url
from nkloop.records.decisions import Decisions
from nkloop.records.device_files import DeviceFiles
from nkloop.records.identity import identity_of, name_of
from nkloop.records.inbox import InboxRecords
from nkloop.records.journal import Journal
from nkloop.records.kept_plans import KeptPlans
from nkloop.records.requests import OperatorRequests
from nkloop.records.results import Results
from nkloop.records.stock import Stock
from nkloop.records.vessels import Vessels


class Records:
    """Everything the package remembers, behind its doors: `journal`, `claims`, `decisions`, `vessels`,
    `files`, `plans`, `results`, `campaigns`, `stock`, `inbox`, `requests`, `audit`.

    Calls are synchronous and take some milliseconds; async code may make them directly. Times go in with a zone
    and come out as UTC. Every row written is linked into the audit chain in the same transaction.
    """

    def __init__(self, url: str, *, folder: Path | None = None) -> None:
        """Connect to `sqlite:///FILE` or `postgresql+psycopg://...`; call `migrate` before the first use.

        Files of devices are kept below `folder`; beside the database file, or here, when it is not given.

        Raises:
            RecordError: the URL cannot be used.
        """
        self._database = Database(url)
        self.journal = Journal(self._database)
        """Runs, step events, confirmations, worklists and verdicts."""
        self.claims = Claims(self._database)
        """Who holds which device."""
        self.decisions = Decisions(self._database)
        """What people decided about interrupted runs, and discarded wells."""
        self.vessels = Vessels(self._database)
        """Barcodes of vessels, given once each, and which were filled before."""
        self.files = DeviceFiles(self._database, folder or _beside(self._database.url))
        """Files copied out of devices."""
        self.plans = KeptPlans(self._database)
        """Plans of flows that may be resumed."""
        self.results = Results(self._database)
        """Readings, cell counts, assay results."""
        self.campaigns = Campaigns(self._database)
        """Campaigns, rounds, observations, proposals, revisions, approvals."""
        self.stock = Stock(self._database)
        """Lots, containers, postings, reservations."""
        self.inbox = InboxRecords(self._database)
        """Files of readers and counters, and what is waited for."""
        self.requests = OperatorRequests(self._database)
        """What people are asked, and their answers."""
        self.audit = Audit(self._database)
        """The audit chain."""

    @classmethod
    def open(cls, state: Path) -> Self:
        """The migrated database of a workspace: `NKLOOP_DATABASE_URL`, else `records.db` in its state folder.

        Raises:
            RecordError: the database cannot be reached.
        """
        records = cls(database_url(state), folder=state)
        records.migrate()
        return records

    @property
    def url(self) -> str:
        """Where the database is, without its password."""
        return self._database.url.render_as_string(hide_password=True)

    @cached_property
    def identity(self) -> str:
        """Fingerprint by which two databases are told apart; tells nothing of the address.

        Raises:
            RecordError: the database refused.
        """
        return identity_of(self._database)

    @property
    def name(self) -> str:
        """Random name that the database keeps when it is moved, and that a copy of it has as well.

        Raises:
            RecordError: the database refused.
        """
        return name_of(self._database)

    def migrate(self) -> None:
        """Bring the tables to the newest revision; does nothing when they are there.

        Raises:
            RecordError: the database refused.
        """
        self._database.migrate()

    def close(self) -> None:
        """Close all connections."""
        self._database.close()


def _beside(url: sa.URL) -> Path:
    is_file = url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}
    return Path(url.database or "").parent if is_file else Path()
