"""Opentrons errors in our words."""

from __future__ import annotations

from typing import Any

import pytest

from nkloop.vendor.analysis import Analysis, problems_of


def error(kind: str, detail: str, code: str = "4000", *causes: dict[str, Any]) -> dict[str, Any]:
    return {"errorType": kind, "detail": detail, "errorCode": code, "wrappedErrors": list(causes)}


def comment(message: str) -> dict[str, Any]:
    return {"commandType": "comment", "params": {"message": message}}


def test_a_refusal_of_our_interpreter_keeps_its_line_and_remedy() -> None:
    sentence = "worklist line 7, column tip: tip t:A1 has been used before. Remedy: take the next fresh tip"
    detail = f"ValueError [line 120]: {sentence}"
    (problem,) = problems_of([error("ExceptionInProtocolError", detail)], [], "medium.py")
    assert problem.where == "worklist line 7, column tip"
    assert problem.message == "tip t:A1 has been used before"
    assert problem.remedy == "take the next fresh tip"


def test_an_error_is_told_with_line_step_code_and_remedy_of_its_deepest_cause() -> None:
    cause = error("TipNotAttachedError", "no tip", "3005")
    top = error("ExceptionInProtocolError", "UnexpectedTipRemovalError [line 12]: no\n tip", "4000", cause)
    (problem,) = problems_of([top], [comment("step 3: x"), comment("step 4: y"), comment("hello")], "a.py")
    assert str(problem) == "a.py:12, step 4: no tip (Opentrons error 3005). Remedy: name a fresh tip in the step"


def test_an_unknown_error_still_has_a_place_and_a_remedy() -> None:
    (problem,) = problems_of([{"detail": "something"}], [], "a.py")
    assert str(problem) == "a.py: something. Remedy: correct the protocol or the worklist at this place"


@pytest.mark.parametrize(("result", "is_ok"), [("ok", True), ("not-ok", False), ("invalid", False)])
def test_only_ok_is_ok(result: str, is_ok: bool) -> None:
    assert Analysis.from_worker({"result": result}, "a.py").is_ok is is_ok
