"""What a person types for a design, as the request it means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nkloop.assays.designs import DoseSeries
    from nkloop.assays.models import EffectorSample


def split(text: str) -> tuple[str, ...]:
    """Parts between commas, without the empty ones."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Numbers between commas; `10:1` is 10.

    Raises:
        AssayError: a part is not a number.
    """
    from nkloop.errors import AssayError, Problem

    found, problems = [], []
    for part in split(text):
        try:
            found.append(float(part.removesuffix(":1")))
        except ValueError:
            problems.append(Problem(f"'{part}' is not a number", option, "write for example 10,5,2.5"))
    if problems:
        raise AssayError.from_problems(problems)
    return tuple(found)


def samples(arms: Iterable[str], untransduced: Sequence[str], kind: str) -> tuple[EffectorSample, ...]:
    """Effector samples of `ARM[/DONOR][:PURITY[:VIABILITY[:CD16]]]`; purity and viability are 100 % when not given.

    Raises:
        AssayError: an arm has no name, or a figure is not a percentage.
    """
    from pydantic import ValidationError

    from nkloop.assays.models import EffectorSample
    from nkloop.errors import AssayError, Problem

    found, problems = [], []
    for entry in arms:
        name, *figures = entry.split(":")
        arm, _, donor = name.strip().partition("/")
        try:
            given = [float(figure) for figure in figures]
            if len(given) > 3 or not any(letter.isalpha() for letter in arm):
                raise ValueError("too many figures, or a name that is the rest of a number with a comma")
            found.append(
                EffectorSample(
                    name=f"{arm}/{donor}" if donor else arm,
                    arm=arm,
                    donor=donor or "donor",
                    purity_percent=given[0] if given else 100.0,
                    viability_percent=given[1] if len(given) > 1 else 100.0,
                    cd16_percent=given[2] if len(given) > 2 else None,
                    is_car=None if kind != "car" else arm not in untransduced and name.strip() not in untransduced,
                )
            )
        except (ValidationError, ValueError):
            advice = "write ARM/DONOR:PURITY:VIABILITY:CD16 in percent with decimal points, like arm-1/U1:82.5:91:7"
            problems.append(Problem(f"'{entry}' is not an arm with percentages", "--arms", advice))
    if problems:
        raise AssayError.from_problems(problems)
    return tuple(found)


def treatments(
    antibody: Sequence[str] | None, isotype: Sequence[str] | None, drug: Sequence[str] | None
) -> tuple[DoseSeries, ...]:
    """The dose series of every antibody, isotype control and drug.

    Raises:
        AssayError: one of them is not written as a series.
    """
    return (*series(antibody or (), "antibody"), *series(isotype or (), "isotype"), *series(drug or (), "drug"))


def series(entries: Iterable[str], kind: Literal["antibody", "isotype", "drug"]) -> tuple[DoseSeries, ...]:
    """Treatments of `NAME:DOSE[,DOSE…][:UNIT]`.

    Raises:
        AssayError: an entry has no dose.
    """
    from nkloop.assays.designs import DoseSeries
    from nkloop.assays.models import Treatment
    from nkloop.errors import AssayError

    found = []
    for entry in entries:
        name, _, rest = entry.partition(":")
        doses, _, unit = rest.partition(":")
        given = numbers(doses, f"--{kind}")
        if not name.strip() or not given or any(dose <= 0 for dose in given):
            raise AssayError(
                f"'{entry}' is not a {kind} with its doses",
                where=f"--{kind}",
                remedy="write NAME:DOSE,DOSE:UNIT with doses above 0, for example rituximab:10:µg/mL",
            )
        found.append(DoseSeries(treatment=Treatment(name=name.strip(), kind=kind, unit=unit.strip()), doses=given))
    return tuple(found)
