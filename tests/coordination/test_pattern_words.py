"""What the pages of Prefect say of a text of the wrong form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FLOWS = Path(__file__).resolve().parents[2] / "flows"
ASK = """
import json, sys
from pathlib import Path
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate
from nkloop.coordination.loading import load_flow
from nkloop.coordination.pattern_words import say_patterns_in_words

say_patterns_in_words()
for flow, request in json.loads(sys.argv[2]):
    schema = parameter_schema(getattr(load_flow(Path(sys.argv[1]) / f"{flow}.py"), flow)).model_dump()
    print(" | ".join(error.message for error in validate({"request": request}, schema)))
"""
"""In a process of its own: what it changes in Prefect stays changed."""


def test_the_words_of_the_field_stand_in_the_place_of_the_pattern() -> None:
    asked = [
        ["run_campaign", {"campaign": "My campaign"}],
        ["reconcile_run", {"run": "7"}],
        ["dose_cytokines", {"wells": [{"well": "E1"}]}],
        ["run_campaign", {"campaign": "nk-spring-2"}],
    ]
    command = [sys.executable, "-c", ASK, str(FLOWS), json.dumps(asked)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[0] == (
        "'My campaign' is not of the form asked for: A new name of up to 40 small letters, digits and dashes, as "
        "nk-spring-2"
    )
    assert told[1].startswith("'7' is not of the form asked for: Id of a run, as run-0007; empty for")
    assert told[2] == "'E1' is not of the form asked for: the wells of plate-24 are A1 to D6"
    assert told[3:] in ([""], [])
