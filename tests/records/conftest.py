"""Records on a fresh SQLite file, and small models to put into them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nkloop.assays.measurements import Reading
from nkloop.assays.models import AssayResult, EffectorSample, PlateLayout
from nkloop.recipes.models import Recipe
from nkloop.records import Records
from nkloop.records.models import Context, JournalEvent, RunDecision, RunState, StepEvent
from nkloop.worklists.models import CheckResult, DeckItem, Filling, Liquid, Step, Verdict, Worklist

SERVER = "postgresql+psycopg://root@127.0.0.1:5432/test"
AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


class Lab:
    """A worklist, what was left of it, and short words for what is done with them."""

    def __init__(self, records: Records, worklist: Worklist, make_verdict: Callable[[Worklist], Verdict], at: datetime):
        self.records, self.worklist, self.at = records, worklist, at
        self._verdict = make_verdict

    def opened(
        self,
        worklist: Worklist,
        bench: str = "lab",
        known: Any = None,
        serial: str | None = None,
        claim: Any = None,
        **context: Any,
    ) -> str:
        """A run that was opened."""
        return self.records.journal.create_run(
            worklist,
            self._verdict(worklist),
            bench=bench,
            device="flex",
            at=self.at,
            context=Context(**context),
            known=known,
            device_serial=serial,
            claim=claim,
        )

    def ended(self, run_id: str, *events: StepEvent, state: RunState = "interrupted") -> str:
        """The same run, ended so."""
        told = [JournalEvent(number=n, event=one, at=self.at) for n, one in enumerate(events, start=1)]
        self.records.journal.append_events(run_id, told)
        self.records.journal.set_run_state(run_id, state, ended_at=self.at)
        return run_id

    def rest(self, run_id: str, name: str = "rest") -> Worklist:
        """What is left of a run."""
        return self.worklist.model_copy(update={"name": f"{name} of {run_id}", "steps": self.worklist.steps[:2]})

    def left_to_run(self) -> tuple[str, ...]:
        """Runs whose rest nobody has taken up and nothing stands in the way of."""
        return tuple(rest.run_id for rest in self.records.decisions.rests() if rest.blocked is None)

    def decide(self, run_id: str, kind: Any = "continue", left: Worklist | None = None, **said: Any) -> None:
        """A decision, with what is left to be done."""
        made = RunDecision(run_id=run_id, decision=kind, by="Ada", reason="levels were read", at=self.at, **said)
        self.records.decisions.add(made, follow_up=left)

    def cut(self, *events: StepEvent, **context: Any) -> tuple[str, Worklist]:
        """A run that was cut and decided about, and what that left."""
        run_id = self.ended(self.opened(self.worklist, **context), *(events or ("done", "failed", "failed")))
        left = self.rest(run_id)
        self.decide(run_id, left=left)
        return run_id, left

    @staticmethod
    def without_barcode(worklist: Worklist) -> Worklist:
        """A worklist on labware that nobody knows again."""
        return worklist.model_copy(update={"deck": tuple(i.model_copy(update={"barcode": ""}) for i in worklist.deck)})


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def everywhere(request: pytest.FixtureRequest) -> Records:
    """Records on SQLite, and on PostgreSQL where one is at hand."""
    if request.param == "sqlite":
        found: Records = request.getfixturevalue("records")
        return found
    server: Records = request.getfixturevalue("postgres")
    server.migrate()
    return server


@pytest.fixture
def lab(
    everywhere: Records, worklist: Worklist, make_verdict: Callable[[Worklist], Verdict], at: datetime
) -> Iterator[Lab]:
    yield Lab(everywhere, worklist, make_verdict, at)
    assert everywhere.audit.verify_chain() == ()


@pytest.fixture
def at() -> datetime:
    return AT


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'deep' / 'records.db'}"


@pytest.fixture
def records(url: str) -> Iterator[Records]:
    opened = Records(url)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def postgres() -> Iterator[Records]:
    name = f"nkloop_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA {name}"))
    records = Records(f"{SERVER}?options=-csearch_path%3D{name}")
    yield records
    records.close()
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {name} CASCADE"))
    admin.dispose()


@pytest.fixture
def make_worklist() -> Callable[[int], Worklist]:
    return _worklist


@pytest.fixture
def worklist() -> Worklist:
    return _worklist(3)


@pytest.fixture
def verdict(worklist: Worklist) -> Verdict:
    return _verdict(worklist)


@pytest.fixture
def make_verdict() -> Callable[[Worklist], Verdict]:
    return _verdict


def _verdict(worklist: Worklist) -> Verdict:
    passed = CheckResult(check="ledger", passed=True, seconds=0.01)
    return Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(passed,))


def _worklist(n_steps: int) -> Worklist:
    return Worklist(
        name="dose day 3",
        procedure="cytokine_dosing",
        pipettes={"left": "flex_1channel_1000"},
        deck=(DeckItem(nickname="plate", slot="D2", load_name="corning_24_wellplate_3.4ml_flat", barcode="P-1"),),
        fillings=(
            Filling(labware="plate", well="A1", volume_ul=900, liquid=Liquid(name="medium", per_ul={"base": 1.0})),
        ),
        steps=tuple(
            Step(
                number=number,
                action="transfer",
                labware="plate",
                well="A1",
                to_labware="plate",
                to_well="B1",
                volume_ul=10,
            )
            for number in range(1, n_steps + 1)
        ),
    )


@pytest.fixture
def reading() -> Reading:
    return Reading(
        barcode="P-1",
        mode="absorbance",
        wavelength_nm=490,
        values={"A1": 0.1 + 0.2, "B1": 1.25},
        instrument="reader",
        serial_number="S-1",
        read_at=AT,
    )


@pytest.fixture
def assay_result() -> AssayResult:
    layout = PlateLayout(
        barcode="P-1",
        method="ldh_release",
        target_line="K562",
        targets_per_well=10_000,
        contact_minutes=240,
        ratios=(10, 3, 1),
        samples=(EffectorSample(name="arm-1/U1", arm="arm-1", donor="U1", viability_percent=90, purity_percent=80),),
        wells=(),
    )
    return AssayResult(
        barcode="P-1",
        method="ldh_release",
        target_line="K562",
        verdict="flagged",
        reasons=("few replicates",),
        z_prime=0.61,
        quality=(),
        lysis=(),
        curves=(),
        layout=layout,
        signals={"A1": 0.5},
    )


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.model_validate(
        {
            "id": "toy",
            "title": "Toy",
            "product": "NK",
            "starting_material": "cord blood",
            "sources": {"s": {"title": "Made up", "reference": "none"}},
            "components": [
                {"name": "base", "title": "Base", "role": "base", "plausible": ["1 % v/v", "100 % v/v"]},
                {"name": "IL-15", "title": "IL-15", "role": "cytokine", "plausible": ["0.1 ng/mL", "1000 ng/mL"]},
            ],
            "stages": [
                {
                    "id": "expansion",
                    "title": "Expansion",
                    "start_day": 0,
                    "end_day": 7,
                    "vessel": {"kind": "plate", "title": "24-well plate", "volume": ["0.5 mL", "2 mL"]},
                    "seeding_density": "1e5 cells/mL",
                    "refresh": {"every": "3 d", "fraction": "50 %", "source": "s"},
                    "medium": {
                        "base": {"component": "base", "amount": "100 % v/v", "source": "s"},
                        "additives": [{"component": "IL-15", "amount": "20 ng/mL", "source": "s"}],
                    },
                }
            ],
            "loop": {"vary": [{"component": "IL-15", "stages": ["expansion"]}]},
        }
    )
