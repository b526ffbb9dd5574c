"""What forms offer to choose from: what the workspace has now, whatever else a field allows."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import ValidationError, validate

from nkloop.coordination import choices as forms_of
from nkloop.coordination.choices import Choices, choices, offer, offering, stages
from nkloop.coordination.loading import load_flow
from nkloop.errors import RecordError
from nkloop.workspace import Workspace
from nkloop.workspace.folders import FOLDERS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def offered() -> Choices:
    return choices(Workspace(root=ROOT))


def form(name: str) -> dict[str, Any]:
    """Schema of a deployment's parameters."""
    return parameter_schema(getattr(load_flow(ROOT / "flows" / f"{name}.py"), name)).model_dump()


def test_recipes_stages_and_benches_are_those_of_the_workspace(offered: Choices) -> None:
    assert {"ucb-nk", "ucb-dc", "ucb-nk-transduced"} <= set(offered["recipe"])
    assert {"expansion_i", "maturation"} <= set(offered["stage"])
    assert "virtual" in offered["bench"]
    assert "K-562" in offered["target_line"]
    assert "IL-15@expansion_ii+differentiation" in offered["component"]


def test_a_recipe_with_mistakes_is_offered_and_breaks_no_form(tmp_path: Path) -> None:
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
    (tmp_path / "recipes" / "broken.yaml").write_text("id: [", encoding="utf-8")
    shutil.copy(ROOT / "recipes" / "ucb-dc.yaml", tmp_path / "recipes" / "ucb-dc.yaml")
    found = choices(Workspace(root=tmp_path))
    assert found["recipe"] == ("broken", "ucb-dc")
    assert found["stage"] == ("expansion", "differentiation", "maturation")


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"stage": "expansion_3"}, "expansion_3"),
        ({"recipe": "ucb"}, "'ucb' is not one of"),
        ({"bench": "virtuel"}, "virtuel"),
    ],
)
def test_prefect_refuses_what_is_not_offered(request_: dict[str, Any], told: str, offered: Choices) -> None:
    schema = cast(Any, offering(form("prepare_medium"), offered))
    with pytest.raises(ValidationError, match=told):
        validate({"request": request_}, schema, raise_on_error=True)
    validate({"request": {"stage": "maturation", "recipe": "ucb-dc"}}, schema, raise_on_error=True)


@pytest.mark.parametrize("name", ["prepare_medium", "dose_cytokines"])
def test_a_stage_of_another_recipe_is_refused_at_its_field(name: str, offered: Choices) -> None:
    schema = cast(Any, offering(form(name), offered, stages(Workspace(root=ROOT))))
    for request in ({"stage": "maturation"}, {"stage": "expansion_i", "recipe": "ucb-dc"}):
        with pytest.raises(ValidationError, match=r"request.stage.*is not one of \['expansion"):
            validate({"request": request}, schema, raise_on_error=True)
    (told,) = (one["properties"]["stage"]["description"] for one in schema["definitions"].values()
               if "stage" in one["properties"])  # fmt: skip
    assert "ucb-dc: expansion, differentiation, maturation; " in told
    assert "ucb-nk: expansion_i, " in told
    for request in ({"stage": "expansion_i"}, {"stage": "maturation", "recipe": "ucb-dc"}, {}):
        validate({"request": request}, schema, raise_on_error=True)


def test_wells_are_still_held_to_their_plate_beside_stages(offered: Choices) -> None:
    schema = cast(Any, offering(form("dose_cytokines"), offered, stages(Workspace(root=ROOT))))
    for kind, well in (("plate-24", "E1"), ("plate-6", "C1")):
        with pytest.raises(ValidationError, match="well"):
            validate({"request": {"plate_kind": kind, "wells": [{"well": well}]}}, schema, raise_on_error=True)
    validate({"request": {"plate_kind": "plate-96", "wells": [{"well": "H12"}]}}, schema, raise_on_error=True)


def test_what_is_left_out_is_chosen_from_the_additives_and_may_be_several(offered: Choices) -> None:
    schema = cast(Any, offering(form("prepare_medium"), offered))
    validate({"request": {"leave_out": ["SCF", "IL-7"]}}, schema, raise_on_error=True)
    validate({"request": {"leave_out": []}}, schema, raise_on_error=True)
    for slip in ("scf", "SCF,IL-7", "GBGM"):
        with pytest.raises(ValidationError, match=f"'{slip}' is not one of"):
            validate({"request": {"leave_out": [slip]}}, schema, raise_on_error=True)


def test_a_field_that_may_stay_empty_may_stay_empty(offered: Choices) -> None:
    schema = cast(Any, offering(form("run_cytotoxicity_assay"), offered))
    validate({"request": {"recipe": "", "target_line": "K-562"}}, schema, raise_on_error=True)


async def test_only_forms_that_show_something_else_are_written(offered: Choices) -> None:
    written = []

    async def update(deployment: str, change: Any) -> None:
        written.append(deployment)
        by_id[deployment].parameter_openapi_schema = change.parameter_openapi_schema

    async def read() -> list[Any]:
        return list(by_id.values())

    # as a service before this one left it: a form without its fields must not come back
    by_id = {n: SimpleNamespace(id=n, name=n, parameter_openapi_schema={}) for n in ("prepare-medium", "of-others")}
    client = SimpleNamespace(read_deployments=read, update_deployment=update)
    forms = {"prepare-medium": form("prepare_medium")}
    await offer(client, offered, forms)
    await offer(client, offered, forms)
    assert written == ["prepare-medium"]
    shown: Any = by_id["prepare-medium"].parameter_openapi_schema
    assert shown["definitions"]["PrepareMedium"]["properties"]["bench"]["enum"] == list(offered["bench"])


async def test_records_that_refuse_once_do_not_end_the_lists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    looks = iter([RecordError("locked"), RecordError("locked"), None])
    offered_at_last = asyncio.Event()

    def revisions() -> tuple[Any, ...]:
        if (error := next(looks, None)) is not None:
            raise error
        return ()

    async def offer_all(*_: Any) -> None:
        offered_at_last.set()

    monkeypatch.setattr(forms_of, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(forms_of.logger, "warning", lambda text, *more: told.append(text % more))
    monkeypatch.setattr(forms_of, "offer", offer_all)
    monkeypatch.setattr("prefect.get_client", lambda: nullcontext())
    records: Any = SimpleNamespace(campaigns=SimpleNamespace(revisions=revisions))
    looking = asyncio.create_task(forms_of.keep_offered(Workspace(root=ROOT), records, {}))
    await asyncio.wait_for(offered_at_last.wait(), 5)
    looking.cancel()
    assert told == ["the lists of the forms stay as they are: RecordError: locked"]


@pytest.mark.parametrize(
    ("kind", "well", "fits"),
    [
        ("plate-24", "D6", True),
        ("plate-24", "H12", False),
        (None, "H12", False),
        (None, "D6", True),
        ("plate-6", "B3", True),
        ("plate-6", "C1", False),
        ("plate-48", "F8", True),
        ("plate-48", "F9", False),
        ("plate-96", "H12", True),
        ("plate-96", "A13", False),
    ],
)
def test_a_well_is_refused_at_the_form_when_its_plate_has_none(kind: str | None, well: str, fits: bool) -> None:
    request_: dict[str, Any] = {"wells": [{"well": "A1"}, {"well": well}]}
    if kind:
        request_["plate_kind"] = kind
    found = validate({"request": request_}, cast(Any, form("dose_cytokines")))
    assert {tuple(error.absolute_path) for error in found} == (set() if fits else {("request", "wells", 1, "well")})
