"""The command and the flow answer the same question with the same worklist, to the byte."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nkloop.drivers.bench import load_bench_file
from nkloop.inventory import Inventory
from nkloop.labware import Catalogue
from nkloop.recipes import find_recipe
from nkloop.records import Records
from nkloop.records.models import Context
from nkloop.runs.culture import donor_tubes
from nkloop.runs.feeding import PlateFeeding, base_order, plan_feeding
from nkloop.runs.media import plan_batch
from nkloop.runs.session import Session
from nkloop.worklists.arm_table import read_arm_table
from nkloop.worklists.csv_format import to_csv
from nkloop.worklists.models import Verdict, Worklist
from nkloop.worklists.plans import WellFeeding
from nkloop.workspace import Workspace

pytestmark = pytest.mark.usefixtures("by_ledger")
Nkloop = Callable[..., Any]
NOW = datetime.now(UTC)


@pytest.fixture
def session(workspace: Workspace) -> Any:
    """What a flow plans with, in the workspace of the command."""

    async def now() -> datetime:
        return NOW

    workspace.state.mkdir(exist_ok=True)
    records = Records.open(workspace.state)
    nobody = cast(Any, None)
    yield Session(
        workspace=workspace,
        bench_file=load_bench_file(workspace.devices / "virtual.yaml"),
        bench=cast(Any, SimpleNamespace(clock=SimpleNamespace(now=now))),
        records=records,
        catalogue=Catalogue.load(workspace.labware),
        inventory=Inventory.load(workspace.devices / "lots" / "virtual.yaml"),
        lines=None,
        vendor=nobody,
        verifier=nobody,
    )
    records.close()


def journal(records: Records, worklist: Worklist) -> None:
    verdict = Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=())
    run = records.journal.create_run(worklist, verdict, bench="virtual", device="flex", at=NOW, context=Context())
    records.journal.append_event(run, [step.number for step in worklist.steps], "done", at=NOW, device="flex")
    records.journal.set_run_state(run, "succeeded", ended_at=NOW)


@pytest.mark.parametrize(
    ("constant", "aim"), [("auto", "vessel"), ("auto", "medium"), ("base", "vessel"), ("dose", "medium")]
)
def test_a_feeding_is_the_same_from_the_command_and_from_the_form(
    nkloop: Nkloop, workspace: Workspace, session: Any, constant: str, aim: str
) -> None:
    arms = workspace.root / "arms.csv"
    arms.write_text("arm,SCF,IL-7\narm-a,x2,x0.5\n", encoding="utf-8")
    asked = (
        "plan", "dosing", "--recipe", "ucb-nk", "--stage", "expansion_i", "--donors", "U1,U2", "--vessel", "plate-24",
        "--volume", "1.5 mL", "--arms", arms, "--seed", "5", "--plate", "C-1", "--constant", constant, "--aim", aim,
        "--json", "--csv",
    )  # fmt: skip
    plan = nkloop(*asked, "before.csv").json
    recipe = find_recipe(workspace.recipes, "ucb-nk")
    places = [{name: one[name] for name in ("arm", "donor", "well", "replicate")} for one in plan["positions"]]
    feeding = PlateFeeding.model_validate(
        {
            "recipe": recipe,
            "stage_id": "expansion_i",
            "name": "feed C-1",
            "plate": "C-1",
            "arms": read_arm_table(arms, recipe, "expansion_i"),
            "wells": [WellFeeding(**place, add_ul=1350, seed_ul=150) for place in places],
            "donors": donor_tubes(["U1", "U2"], 1000.0),
            "seed": 5,
            "constants": constant,
            "aim": aim,
        }
    )

    async def as_a_flow() -> Worklist:
        order = await base_order(session, feeding, "base-expansion_i")
        words = shlex.split(plan["base_medium"]["command"])
        assert words[words.index("--volume") + 1] == f"{order.volume}"
        assert [name for word, name in pairwise(words) if word == "--leave-out"] == list(order.omit)
        made = await plan_batch(
            session, recipe, "expansion_i", order.volume, leave_out=order.omit, barcode=order.barcode,
            load_name=order.load_name,
        )  # fmt: skip
        journal(session.records, made.worklist)
        return (await plan_feeding(session, feeding, order.barcode)).worklist

    table = to_csv(asyncio.run(as_a_flow())).encode()
    after = nkloop(*asked, "after.csv").json
    assert after["base_medium"]["prepared_by"]
    if constant == "base":
        larger = nkloop(*("1.8 mL" if one == "1.5 mL" else one for one in asked), "larger.csv").json
        assert not larger["base_medium"]["prepared_by"]
        told = "base-expansion_i that stands there is passed over, because"
        assert any(told in note for note in larger["notes"])
        assert larger["base_medium"]["barcode"] == "base-expansion_i.2"
        assert "--barcode base-expansion_i.2 " in larger["base_medium"]["command"]
    for name in ("before.csv", "after.csv"):
        assert Path(name).read_bytes() == table
    in_base = {"Flt3L", "TPO"} & {
        row["component"] for row in plan["composition"] if row["component"] not in plan["dosed"]
    }
    assert bool(in_base) == (constant == "base" or (constant == "auto" and aim == "medium"))
