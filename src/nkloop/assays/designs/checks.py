"""What is asked must make sense before plates are filled; every reason is named at once."""

from __future__ import annotations

from collections.abc import Iterator

from nkloop.assays.designs.models import DesignRequest
from nkloop.assays.methods import Method
from nkloop.assays.panel import line_named
from nkloop.errors import AssayError, NkloopError, Problem


def check_request(request: DesignRequest, method: Method) -> None:
    """Refuse a request no plate can answer.

    Raises:
        AssayError: names twice, lines unknown, E:T not falling, controls of the question missing; all at once.
    """
    problems = [*_common(request, method), *_BY_KIND[request.kind](request)]
    if problems:
        raise AssayError.from_problems(problems)


def _common(request: DesignRequest, method: Method) -> Iterator[Problem]:
    if not request.samples:
        yield Problem("there is no arm to test", "--arms", "name at least one")
    everyone = [*request.samples, *([request.reference] if request.reference else [])]
    for what, names in (("arm", [s.name for s in everyone]), ("line", list(request.lines))):
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            yield Problem(f"{what} named twice: {', '.join(twice)}", f"--{what}s", "give each its own name")
    for sample in everyone:
        if sample.true_ratio(1.0) <= 0:
            yield Problem(f"{sample.name} has no NK cells, so its true E:T is 0", "--arms", "correct its counts")
    for line in request.lines:
        try:
            line_named(line)
        except NkloopError as error:
            yield from error.problems
    falls = list(request.ratios) == sorted(set(request.ratios), reverse=True)
    if not falls or not all(0 < r < float("inf") for r in request.ratios):
        shown = ", ".join(f"{r:g}" for r in request.ratios)
        yield Problem(f"E:T {shown} do not fall", "--ratios", "list E:T above 0, highest first, each once")
    window = method.contact
    if not window.low_minutes <= request.contact_minutes <= window.high_minutes:
        text = f"{request.contact_minutes:g} min of contact, {method.name} allows {window.low_minutes:g} to"
        yield Problem(f"{text} {window.high_minutes:g}", "--contact", window.reason)
    if not method.targets.low <= request.targets_per_well <= method.targets.high:
        text = f"{request.targets_per_well:g} targets per well, {method.name} is used with {method.targets.low:g} to"
        yield Problem(f"{text} {method.targets.high:g}", "--targets", "change the number of targets")


def _killing(request: DesignRequest) -> Iterator[Problem]:
    if len(request.ratios) < 3:
        yield Problem(f"{len(request.ratios)} E:T given, a curve needs at least 3", "--ratios", "better 6")
    if request.treatments:
        yield Problem("a killing design has no treatment", "--kind", "name adcc or drug-matrix")


def _adcc(request: DesignRequest) -> Iterator[Problem]:
    kinds = [series.treatment.kind for series in request.treatments]
    if "antibody" not in kinds:
        yield Problem("an ADCC design needs an antibody", "--antibody", "write --antibody rituximab:10:µg/mL")
    if "isotype" not in kinds:
        yield Problem("an ADCC design needs an isotype control", "--isotype", "write --isotype IgG1:10:µg/mL")
    unknown = [s.name for s in request.samples if s.cd16_percent is None]
    if unknown:
        text = f"CD16 of {', '.join(unknown)} is not recorded; without it no difference cannot be understood"
        yield Problem(text, "--arms", "write ARM/DONOR:PURITY:VIABILITY:CD16")
    yield from _replicated(request)


def _car(request: DesignRequest) -> Iterator[Problem]:
    plain = {s.donor for s in request.samples if s.is_car is False}
    for sample in request.samples:
        if sample.is_car is None:
            yield Problem(f"{sample.name} is neither CAR nor untransduced", "--untransduced", "name the control arm")
        elif sample.is_car and sample.donor not in plain:
            text = f"{sample.name} has no untransduced control of donor {sample.donor}"
            yield Problem(text, "--untransduced", "add the untransduced arm of the same donor")
    if not any(s.is_car for s in request.samples):
        yield Problem("there is no CAR arm", "--arms", "name it beside its untransduced control")
    if not request.antigen_negative:
        yield Problem("a CAR design needs an antigen-negative line", "--antigen-negative", "name one of the lines")
    foreign = [line for line in request.antigen_negative if line not in request.lines]
    if foreign:
        yield Problem(f"{', '.join(foreign)} is not among the lines", "--antigen-negative", "add it to --lines")
    if set(request.lines) <= set(request.antigen_negative):
        yield Problem("no line carries the antigen", "--lines", "add the antigen-positive line")
    yield from _replicated(request)


def _matrix(request: DesignRequest) -> Iterator[Problem]:
    if not request.treatments:
        yield Problem("a matrix needs a drug or an antibody", "--drug", "write --drug NAME:0.1,1,10:nM")
    for series in request.treatments:
        if len(series.doses) < 2:
            yield Problem(f"{series.treatment.name} has {len(series.doses)} dose", "--drug", "give at least 2 doses")
    if len(request.ratios) < 2:
        yield Problem(f"{len(request.ratios)} E:T, a matrix needs at least 2", "--ratios", "give more E:T")


def _replicated(request: DesignRequest) -> Iterator[Problem]:
    if request.replicates < 2:
        yield Problem("one replicate gives a difference without interval", "--replicates", "use 2 or more, better 3")


_BY_KIND = {"killing": _killing, "adcc": _adcc, "car": _car, "drug-matrix": _matrix}
