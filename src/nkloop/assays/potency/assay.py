"""From rows to a potency result: the checks all designs share, then lines or curves."""

from __future__ import annotations

from collections.abc import Sequence

from nkloop.assays.potency.data import PotencyData
from nkloop.assays.potency.models import PotencyResult
from nkloop.assays.potency.parallel_curve import analyse_curves
from nkloop.assays.potency.parallel_line import Question, analyse_lines
from nkloop.errors import AssayError


def analyse_potency(data: PotencyData, question: Question, *, leave_out: Sequence[str] = ()) -> PotencyResult:
    """Potency of every preparation against the standard.

    Raises:
        AssayError: the standard or a preparation left out is not there, or nothing remains beside the standard.
    """
    names = data.names()
    said = ", ".join(names)
    for name in (question.standard, *leave_out):
        if name not in names:
            raise AssayError(f"there is no preparation '{name}'; there are {said}", remedy="name one of them")
    if question.standard in leave_out:
        raise AssayError(f"the standard '{question.standard}' cannot be left out", remedy="leave out another one")
    if not isinstance(question.assumed, (int, float)):
        for name in question.assumed:
            if name not in names or name == question.standard:
                raise AssayError(
                    f"assumed potency of '{name}', which is no preparation beside the standard",
                    remedy=f"there are {said}",
                )
    kept = data.without(leave_out)
    if len(kept.names()) < 2:
        raise AssayError("there is no preparation beside the standard", remedy="a potency compares two preparations")
    return analyse_curves(kept, question) if question.design == "4pl" else analyse_lines(kept, question)
