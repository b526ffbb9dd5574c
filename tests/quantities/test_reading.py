"""What people write is read or refused with the reason, and editors are told the same form."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from ruamel.yaml import YAML

from nkloop.errors import QuantityError
from nkloop.quantities import Amount, Concentration, Duration, Kind, Volume
from nkloop.quantities.pattern import pattern
from nkloop.quantities.units import spellings

READ = {
    "25 ng/mL": [
        *("25 ng/mL", "25ng/ml", "25 ng / mL", " 25.0 ng/mL ", "25\u00a0ng/mL", "25\u202fng/mL", "25 µg/L", "25 μg/L"),
        *("25 ug/l", "25 mcg/L", "25 ng mL-1", "25 ng·mL⁻¹", "25 ng per mL", "+25 ng/mL", "0.025 ug/mL", "2.5e1 ng/mL"),
    ],
    "1e5 cells/mL": [
        *("1e5 cells/mL", "1E5 cells/ml", "100000 cells/mL", "1×10^5 cells/mL", "1x10^5 cells/mL", "1 x 10^5 cells/mL"),
        *("1*10^5 cells/mL", "1×10⁵ cells/mL", "10^5 cells/mL", "10⁵ cells/mL", "1x10**5 cell/mL", "1e8 cells/L"),
        *("0.1×10^6 Cells/mL", "100 cells/µL", "1x10^+5 cells/mL"),
    ],
    "1000 IU/mL": ["1000 IU/mL", "1000IU/ml", "1000 iu/mL", "1 kIU/mL", "0.001 MIU/mL"],
    "10 % v/v": ["10 % v/v", "10% v/v", "10 %(v/v)", "10 vol%", "0.1 v/v", "0.1 mL/mL"],
    "750 nM": ["750 nM", "0.75 uM", "0.75 µM", "750 nmol/L", "0.75 umol/l", "7.5×10^-4 mM", "7.5×10⁻⁴ mmol/L"],
    "2 d": ["2 d", "2 days", "48 h", "48 hours", "2880 min"],
    "1 mL": ["1 mL", "1 ml", "1000 uL", "1000 µl", "0.001 L", ".001 L", "0.01 dL"],
    "5 TU/cell": ["5 TU/cell", "5 TU/cells"],
}
REFUSED = {
    "comma between digits": ["2,5 ng/mL", "1,000 IU/mL", "1.000,5 ng/mL", "1, 5 mL"],
    "separator between digits": ["1 000 IU/mL", "1\u202f000 IU/mL", "1'000 IU/mL", "1_000 IU/mL"],
    "not a number with a unit": ["25", "ng/mL", "", "twenty ng/mL", "- 5 ng/mL", "½ mL", "１０ ng/mL", "1e5"],
    "holds more than one amount": ["25 ng/mL 10 pg/mL", "25 ng/mL x 2", "1 ng 2", "1.2.3 mL", "1/2 mL"],
    "is a range": ["25-50 ng/mL", "25 to 50 ng/mL", "25–50 ng/mL"],
    "not one exact amount": ["25 ± 5 ng/mL", "~25 ng/mL", "<25 ng/mL", "≥ 25 ng/mL", "25 +/- 5 ng/mL"],
    "multiplies with a power twice": ["1 x 10e6 cells/mL", "1×10E6 cells/mL"],
    "is a dilution": ["1:1000", "1 : 100 v/v"],
    "does not say which unit of activity": [
        *("1000 U/mL", "1 kU/mL", "1 mU/mL", "1000 units/mg", "1 unit", "5 Units/mL", "5 u/mL", "1 MU", "1 KU/mL"),
    ],
    "not how international units are written": ["1000 UI/mL", "1000 I.E./mL"],
    "may mean milli, kilo or mega": ["1000 mIU/mL", "1 KIU/mL"],
    "mixes up large and small letters": ["25 NG/mL", "25 Mg/mL", "25 UG/ML"],
    "does not say what is counted": ["1e5/mL", "10^6/mL"],
    "is mass per volume": ["1 % w/v", "1 %(w/v)"],
    "is mass per mass": ["1 % w/w", "1 %(m/m)"],
    "does not say of what": ["10 %", "10%", "10 percent"],
    "not a finite amount": ["nan ng/mL", "inf mL", "1e999 ng/mL", "1x10^999 ng/mL"],
    "is not known": ["25 furlong", "25 ng/mL/h", "25 ng/mg", "25 n g/mL", "25 ng/mL # note", "5 ppm", "25ng/ml."],
}


@pytest.mark.parametrize(("meant", "text"), [(meant, text) for meant, texts in READ.items() for text in texts])
def test_what_people_write_is_one_amount(meant: str, text: str) -> None:
    assert Amount.parse(text) == Amount.parse(meant)


@pytest.mark.parametrize(("reason", "text"), [(reason, text) for reason, texts in REFUSED.items() for text in texts])
def test_what_is_ambiguous_is_refused_with_reason_and_remedy(reason: str, text: str) -> None:
    with pytest.raises(QuantityError, match=re.escape(reason)) as caught:
        Amount.parse(text)
    assert all(problem.remedy for problem in caught.value.problems)


class Form(BaseModel):
    """As a flow's form takes amounts."""

    dose: Concentration
    volume: Volume
    every: Duration


magnitudes = st.floats(min_value=1e-6, max_value=1e9)


def amounts(*kinds: Kind) -> st.SearchStrategy[Amount]:
    units = [unit for kind in kinds for unit in spellings(kind)]
    return st.builds(lambda m, u: Amount(m, u), magnitudes, st.sampled_from(units))


forms = st.builds(
    Form,
    dose=amounts(Kind.MASS_CONCENTRATION, Kind.ACTIVITY_CONCENTRATION, Kind.MOLAR_CONCENTRATION, Kind.FRACTION),
    volume=amounts(Kind.VOLUME),
    every=amounts(Kind.TIME),
)


@given(forms)
def test_forms_survive_json_and_yaml_exactly(form: Form) -> None:
    plain = form.model_dump(mode="json")
    yaml = YAML(typ="safe", pure=True)
    for again in (json.loads(json.dumps(plain)), yaml.load(json.dumps(plain)), yaml.load(_yaml(plain))):
        read = Form.model_validate(again)
        assert read == form
        assert str(read.dose) == str(form.dose)


@given(forms)
def test_a_form_accepts_in_the_browser_what_it_wrote(form: Form) -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator(Form.model_json_schema()).validate(form.model_dump(mode="json"))


def _yaml(plain: dict[str, str]) -> str:
    return "".join(f"{key}: {value}\n" for key, value in plain.items())


@pytest.mark.parametrize(
    "text", ["25", "25 ng", "2,5 ng/mL", "1000 U/mL", "1 000 IU/mL", "-5 ng/mL", "25 NG/mL", "1e5/mL"]
)
def test_an_editor_refuses_what_the_reader_refuses(text: str) -> None:
    schema = Form.model_json_schema()["properties"]["dose"]
    assert re.search(schema["pattern"], text) is None
    assert schema["examples"][0] == "25 ng/mL"


@given(st.sampled_from(list(Kind)).flatmap(lambda kind: st.tuples(st.just(kind), amounts(kind))))
def test_the_pattern_of_a_kind_fits_its_own_amounts_only(case: tuple[Kind, Amount]) -> None:
    kind, amount = case
    assert re.search(pattern(kind), str(amount))
    others = [other for other in Kind if other is not kind]
    assert not any(re.search(pattern(other), str(amount)) for other in others)


def test_prefect_checks_the_form_before_a_run_starts() -> None:
    from prefect.utilities.callables import parameter_schema
    from prefect.utilities.schema_tools import validate

    def flow(form: Form) -> None:
        """A flow with one form."""

    schema = parameter_schema(flow).model_dump()
    good = {"dose": "1000 IU/mL", "volume": "100 mL", "every": "3 d"}
    assert validate({"form": good}, schema, raise_on_error=False) == []
    for field, text in (("dose", "1000 U/mL"), ("volume", "100"), ("every", "3 mL")):
        found = validate({"form": {**good, field: text}}, schema, raise_on_error=False)
        assert [list(error.absolute_path) for error in found] == [["form", field]]
