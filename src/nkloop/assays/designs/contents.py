"""Which wells a plate needs: the series it carries and the controls that belong to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nkloop.assays.designs.models import DesignRequest, DoseSeries
from nkloop.assays.layout import reference_ratios
from nkloop.assays.methods import Method
from nkloop.assays.models import EffectorSample, LayoutWell

REFERENCE_REPLICATES = 2


@dataclass(frozen=True)
class Unit:
    """What must stand on one plate to be compared."""

    samples: tuple[EffectorSample, ...]
    lines: tuple[str, ...]
    treatments: tuple[DoseSeries, ...] = ()

    @property
    def title(self) -> str:
        """What a person calls it."""
        return f"{' and '.join(s.name for s in self.samples)} against {' and '.join(self.lines)}"


@dataclass(frozen=True)
class Wanted:
    """One well without a place."""

    fields: tuple[tuple[str, Any], ...]
    block: int

    def at(self, well: str, *, blocks: bool) -> LayoutWell:
        """The well at its place."""
        return LayoutWell.model_validate({**dict(self.fields), "well": well, "block": self.block if blocks else None})


def units_of(request: DesignRequest) -> tuple[Unit, ...]:
    """Units of a design, line by line.

    A CAR stands with the untransduced control of its donor and all lines on one plate; a matrix has one treatment.
    """
    if request.kind == "car":
        pairs = []
        for car in (s for s in request.samples if s.is_car):
            controls = tuple(s for s in request.samples if s.is_car is False and s.donor == car.donor)
            pairs.append(Unit((car, *controls), request.lines))
        return tuple(pairs)
    if request.kind == "drug-matrix":
        return tuple(
            Unit((s,), (line,), (t,)) for t in request.treatments for line in request.lines for s in request.samples
        )
    return tuple(Unit((s,), (line,), request.treatments) for line in request.lines for s in request.samples)


def wells_of(units: Sequence[Unit], request: DesignRequest, method: Method, *, several: bool) -> tuple[Wanted, ...]:
    """All wells of a plate with these units; `several` names the line in every well with targets."""
    wells: dict[tuple[tuple[str, Any], ...], Wanted] = {}
    for fields in _fields(units, request, method):
        if not several:
            fields.pop("target_line", None)
        n_blocks = request.replicates
        block = (fields["replicate"] - 1) % n_blocks + 1
        key = tuple(fields.items())
        wells.setdefault(key, Wanted(key, block))
    return tuple(wells.values())


def _fields(units: Sequence[Unit], request: DesignRequest, method: Method) -> Iterator[dict[str, Any]]:
    for unit in units:
        for line in unit.lines:
            for sample in unit.samples:
                yield from _series(sample, line, unit, request)
            yield from _treated_alone(line, unit, request)
        if method.terms.effector_only:
            yield from _alone(unit, request)
    lines = tuple(dict.fromkeys(line for unit in units for line in unit.lines))
    for line in lines:
        for role in ("spontaneous", "maximum"):
            if role == "spontaneous" or role in method.controls:
                for n in range(1, request.control_replicates + 1):
                    yield {"role": role, "replicate": n, "target_line": line}
    for role in ("background", "volume_correction"):
        if role in method.controls:
            for n in range(1, max(request.control_replicates // 2, 2) + 1):
                yield {"role": role, "replicate": n}
    if request.reference is not None and lines:
        for ratio in reference_ratios(request.ratios):
            for n in range(1, REFERENCE_REPLICATES + 1):
                yield {
                    "role": "reference_effector", "sample": request.reference.name, "nominal_ratio": ratio,
                    "replicate": n, "target_line": lines[0],
                }  # fmt: skip


def _series(sample: EffectorSample, line: str, unit: Unit, request: DesignRequest) -> Iterator[dict[str, Any]]:
    conditions = [(None, None), *((t.treatment.name, dose) for t in unit.treatments for dose in t.doses)]
    for name, dose in conditions:
        for ratio in request.ratios:
            for n in range(1, request.replicates + 1):
                yield {
                    "role": "experimental", "sample": sample.name, "nominal_ratio": ratio, "replicate": n,
                    "treatment": name, "dose": dose, "target_line": line,
                }  # fmt: skip


def _treated_alone(line: str, unit: Unit, request: DesignRequest) -> Iterator[dict[str, Any]]:
    for series in unit.treatments:
        for dose in series.doses:
            for n in range(1, request.replicates + 1):
                yield {
                    "role": "treated_target", "treatment": series.treatment.name, "dose": dose, "replicate": n,
                    "target_line": line,
                }  # fmt: skip


def _alone(unit: Unit, request: DesignRequest) -> Iterator[dict[str, Any]]:
    for sample in unit.samples:
        for ratio in request.ratios:
            for n in range(1, request.effector_replicates + 1):
                yield {"role": "effector_only", "sample": sample.name, "nominal_ratio": ratio, "replicate": n}
