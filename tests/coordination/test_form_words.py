"""Options of commands as fields of a form."""

from __future__ import annotations

from pathlib import Path

import pytest

from nkloop.coordination.form_words import filled_in, in_form_words
from nkloop.coordination.loading import load_flow

FLOWS = Path(__file__).resolve().parents[2] / "flows"


@pytest.mark.parametrize(
    ("form", "said", "told"),
    [
        pytest.param(
            "dose_cytokines.DoseCytokines",
            "(--constant dose doses them)",
            '(dose in the field "What all arms have alike" doses them)',
            id="a choice",
        ),
        pytest.param(
            "dose_cytokines.DoseCytokines",
            "allow more time with --cells-out",
            'allow more time with the field "Cells outside [min]"',
            id="with its unit",
        ),
        pytest.param(
            "prepare_medium.PrepareMedium",
            "raise --max-cv to 1.61",
            'raise the field "Largest CV [%]" to 1.61',
            id="a limit",
        ),
        pytest.param(
            "dose_cytokines.DoseCytokines",
            "in the complete medium (nkloop plan dosing --arms x); --max-cv",
            "in the complete medium (nkloop plan dosing --arms x); --max-cv",
            id="commands and what the form has not",
        ),
    ],
)
def test_options_are_named_as_the_form_names_them(form: str, said: str, told: str) -> None:
    module, _, name = form.partition(".")
    assert in_form_words(said, getattr(load_flow(FLOWS / f"{module}.py"), name)) == told


def test_the_form_of_the_flow_under_way_counts() -> None:
    form = load_flow(FLOWS / "prepare_medium.py").PrepareMedium()
    assert in_form_words("--max-bias") == "--max-bias"
    with filled_in((form,)):
        assert in_form_words("--max-bias") == 'the field "Largest systematic error [%]"'
        with filled_in(()):
            assert in_form_words("--max-bias") == 'the field "Largest systematic error [%]"'
    assert in_form_words("--max-bias") == "--max-bias"
