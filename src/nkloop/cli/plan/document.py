"""The JSON of a plan, the same for every procedure (docs/reference/plan-json.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nkloop.cli.plan.planned import Planned
    from nkloop.labware import Catalogue
    from nkloop.worklists.models import Step, Verdict, Worklist

Row = dict[str, Any]


def document(planned: Planned, catalogue: Catalogue) -> Row:
    """A plan as plain data.

    Every transfer is one well to one well; those that eight channels make at once share a `channel_group`.
    """
    return {
        "title": planned.title,
        "transfers": [
            row for number, part in enumerate(planned.parts, 1) for row in transfers(part, catalogue, number)
        ],
        "operator_steps": [
            {"part": number, "step": step.number, **_task(step)}
            for number, part in enumerate(planned.parts, 1)
            for step in part.steps
            if step.action == "pause"
        ],
        "composition": [row.model_dump(mode="json") for row in planned.composition],
        "lots": [{**row.model_dump(mode="json"), "expires": expiry(planned, row.lot)} for row in planned.lots],
        "tips": tips(planned.parts),
        "robot_minutes": _sum(planned.robot_minutes),
        "price_eur": planned.price_eur,
        "without_price": list(planned.unpriced),
        "take_out": list(planned.take_out),
        "reserved": _reserved(planned),
        "warnings": list(planned.warnings),
        "notes": list(planned.notes),
        **planned.more,
        "verdict": {"passed": planned.passed, "checks": _checks(planned.verdicts)},
        "protocol": {"name": planned.protocol.name, "sha256": planned.protocol.sha256},
        "parts": [
            {
                "part": number,
                "name": part.name,
                "worklist_sha256": part.content_hash,
                "steps": len(part.steps),
                "transfers": part.n_transfers,
                "tips": tips([part]),
                "robot_minutes": planned.robot_minutes[number - 1],
                "worklist": part.model_dump(mode="json"),
            }
            for number, part in enumerate(planned.parts, 1)
        ],
    }


def _reserved(planned: Planned) -> Row | None:
    """What the plan holds of the stock, container by container; None when nothing was reserved."""
    held = planned.reserved
    if held is None:
        return None
    containers = [
        {"lot": pick.lot.id, "container": one.container, "volume_ul": one.volume_ul}
        for pick in held.picks
        for one in pick.portions
    ]
    return {"name": held.name, "until": held.until.isoformat(), "containers": containers}


def expiry(planned: Planned, lot: str) -> str | None:
    """Last day of a lot, as its worklists know it; None when they do not."""
    return next((str(facts.expires) for part in planned.parts for facts in part.lots if facts.id == lot), None)


def _task(step: Step) -> Row:
    """What a person does at a pause; `moves` only at closed vessels."""
    if step.operator is None:
        return {"instruction": step.comment}
    task = step.operator.model_dump(mode="json", exclude_none=True)
    return {name: value for name, value in task.items() if value not in ([], "")}


def transfers(worklist: Worklist, catalogue: Catalogue, part: int = 1) -> Iterator[Row]:
    """Every well-to-well transfer of a worklist, in the order they are made."""
    held: dict[int, str] = {}
    for step in worklist.steps:
        if step.action == "pause":
            held.clear()
        if step.tip:
            held[step.channels] = step.tip
        if step.action == "transfer":
            yield from _of_step(step, held.get(step.channels, ""), worklist, catalogue, part)


def _of_step(step: Step, tip: str, worklist: Worklist, catalogue: Catalogue, part: int) -> Iterator[Row]:
    rack, _, first = tip.partition(":")
    sources = _reached(worklist, catalogue, step.labware, step.well, step.channels)
    targets = _reached(worklist, catalogue, step.to_labware, step.to_well, step.channels)
    tips_used = _reached(worklist, catalogue, rack, first, step.channels)
    for source, target, one in zip(sources, targets, tips_used, strict=True):
        yield {
            "part": part,
            "step": step.number,
            "source": f"{step.labware}:{source}",
            "destination": f"{step.to_labware}:{target}",
            "volume_ul": step.volume_ul,
            "tip": f"{rack}:{one}",
            "new_tip": bool(step.tip),
            "channel_group": f"{part}.{step.number}",
            "channels": step.channels,
            "tip_policy": step.tip_policy,
            "purpose": step.comment,
        }


def _reached(worklist: Worklist, catalogue: Catalogue, labware: str, well: str, channels: int) -> tuple[str, ...]:
    return catalogue[worklist.item(labware).load_name].reached(well, channels)


def tips(parts: tuple[Worklist, ...] | list[Worklist]) -> dict[str, int]:
    """Tips taken, per load name of their rack."""
    counted: Counter[str] = Counter()
    for part in parts:
        racks = {item.nickname: item.load_name for item in part.deck}
        for step in part.steps:
            if step.tip:
                counted[racks[step.tip.partition(":")[0]]] += step.channels
    return dict(sorted(counted.items()))


def _checks(verdicts: tuple[Verdict, ...]) -> list[Row]:
    return [
        {"part": number, **check.model_dump(mode="json")}
        for number, verdict in enumerate(verdicts, 1)
        for check in verdict.checks
    ]


def _sum(minutes: tuple[float | None, ...]) -> float | None:
    known = [one for one in minutes if one is not None]
    return round(sum(known), 2) if len(known) == len(minutes) else None
