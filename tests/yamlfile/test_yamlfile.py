"""YAML files: plain data with positions; every problem at once, in words."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from nkloop.errors import BenchError
from nkloop.frozen import FrozenModel
from nkloop.yamlfile import Finding, YamlSyntaxError, load_yaml, validate_yaml
from nkloop.yamlfile.problems import one_of


class Part(FrozenModel):
    """A part."""

    name: str = Field(pattern=r"^[a-z]+$")
    size: float = Field(gt=0, le=10)
    made: date | None = None
    whole: bool = True


class Whole(FrozenModel):
    """A whole."""

    title: str
    colour: Literal["red", "green"] = "red"
    parts: tuple[Part, ...] = Field(default=(), min_length=1)
    count: int = 1


@pytest.fixture
def write(tmp_path: Path):  # type: ignore[no-untyped-def]
    def _write(text: str) -> Path:
        path = tmp_path / "file.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def test_data_is_plain_and_positions_count_from_one(write) -> None:  # type: ignore[no-untyped-def]
    data, positions = load_yaml(write("a: 1e5\nb:\n  - {x: 1, d: 2027-01-02}\n  - no\nc: null\n"))
    assert data == {"a": 1e5, "b": [{"x": 1, "d": "2027-01-02"}, "no"], "c": None}
    assert positions.of(("a",)) == (1, 4)
    assert positions.of(("b", 0, "d")) == (3, 15)
    assert positions.of(("b", 0, "d"), key=True) == (3, 12)
    assert positions.of(("b", 0, "missing")) == (3, 5)
    assert positions.where(("b", 1)).endswith("file.yaml:4:5")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        pytest.param("", r":1:1: the file is empty", id="empty"),
        pytest.param(
            "a: 1\na: 2\nb:\n  c: 1\n  c: 2\n", r":2:1: 'a' .*twice.*line 1.*\n.*:5:3: 'c' stands", id="twice"
        ),
        pytest.param("a: [1, 2\nb: 3\n", r":2:2: this is not valid YAML", id="bracket"),
        pytest.param("a:\n\tb: 1\n", r":2:1: a tab is used.*spaces", id="tab"),
        pytest.param("a: 'x\n", r"not valid YAML.*quotes", id="open_quote"),
        pytest.param("a: 1\n---\nb: 2\n", r"a second document starts", id="two_documents"),
        pytest.param("a: *nobody\n", r"undefined alias", id="alias"),
        pytest.param("a: !secret 1\n", r":1:4: tag '!secret' is not known", id="tag"),
        pytest.param("? [1, 2]\n: 3\n", r"field name must be plain text", id="list_as_key"),
        pytest.param("a: &me [*me]\n", r"contains itself", id="recursion"),
        pytest.param("a: \x00\n", r"not valid YAML", id="control_character"),
    ],
)
def test_unreadable_yaml_says_where(write, text: str, match: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(YamlSyntaxError, match=match):
        load_yaml(write(text))


def test_missing_file_and_wrong_encoding(tmp_path: Path) -> None:
    with pytest.raises(YamlSyntaxError, match=r"absent\.yaml: cannot be read: No such file"):
        load_yaml(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes("title: Größe\n".encode("latin-1"))
    with pytest.raises(YamlSyntaxError, match="not UTF-8"):
        load_yaml(tmp_path / "latin.yaml")


def test_a_valid_file_becomes_a_model(write) -> None:  # type: ignore[no-untyped-def]
    whole = validate_yaml(Whole, write("title: t\nparts:\n  - {name: a, size: 2, made: 2027-01-02}\n"), BenchError)
    assert whole == Whole(title="t", parts=(Part(name="a", size=2, made=date(2027, 1, 2)),))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        pytest.param("- 1\n", r"file.yaml:1:1: the file holds a list of 1, not fields", id="list"),
        pytest.param("parts: []\n", r":1:1: title: field 'title' is missing.*add a line `title: …`", id="missing"),
        pytest.param("title: 5\n", r":1:8: title: 5 is not text. Remedy: put it in quotes", id="number_for_text"),
        pytest.param("title: t\ncolor: red\n", r":2:1: color: .*not known.* did you mean 'colour'", id="extra"),
        pytest.param("title: t\nzzz: red\n", r":2:1: zzz: .*check the spelling", id="extra_far"),
        pytest.param("title: t\ncolour: gren\n", r":2:9: colour: 'gren' is not .*mean 'green'", id="literal"),
        pytest.param("title: t\ncolour: 7\n", r"colour: 7 is not allowed.*write 'red' or 'green'", id="literal2"),
        pytest.param(
            "title: t\nparts: []\n", r":2:8: parts: a list of 0 is too short, it takes at least 1 item. Rem", id="short"
        ),
        pytest.param("title: t\nparts: 5\n", r"parts: 5 is not a list", id="no_list"),
        pytest.param("title: t\nparts: [5]\n", r":2:9: parts\[1\]: 5 is not a block of fields", id="no_block"),
        pytest.param("title: t\nparts: [{name: a, size: 0}]\n", r":2:25: parts.a.size: 0 must be above 0", id="zero"),
        pytest.param("title: t\nparts: [{name: a, size: 11}]\n", r"size: 11 must be at most 10", id="too_large"),
        pytest.param("title: t\nparts: [{name: a, size: .nan}]\n", r"size: nan is not a finite number", id="nan"),
        pytest.param("title: t\nparts: [{name: a, size: x}]\n", r"size: 'x' is not a number", id="text_for_number"),
        pytest.param("title: t\nparts: [{name: A1, size: 1}]\n", r"parts.A1.name: 'A1' has a form", id="pattern"),
        pytest.param("title: t\nparts: [{name: a, size: 1, made: 1.3.27}]\n", r"'1.3.27' is not a date", id="date"),
        pytest.param("title: t\nparts: [{name: a, size: 1, made: 2027-13-45}]\n", r"is not a date", id="date_month"),
        pytest.param("title: t\ncount: 1.5\n", r"count: 1.5 is not a whole number", id="int_from_float"),
        pytest.param(
            "title: t\nparts: [{name: a, size: true}]\n", r":2:25: parts.a.size: true is not a number", id="truth"
        ),
        pytest.param("title: t\nparts: [{name: a, size: 1, made: 0}]\n", r"made: 0 is not a date", id="date_of_0"),
        pytest.param(
            "title: t\nparts: [{name: a, size: 1, whole: 1}]\n", r"1 is neither true nor false", id="number_1"
        ),
        pytest.param("title: null\n", r"title: nothing \(null\) is not text", id="null"),
    ],
)
def test_every_refusal_reads_well(write, text: str, match: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BenchError, match=match):
        validate_yaml(Whole, write(text), BenchError)


def test_all_problems_come_at_once_in_the_order_of_the_file(write) -> None:  # type: ignore[no-untyped-def]
    path = write("title: t\ncolour: blue\nparts:\n  - {name: a, size: -1}\n  - {name: b}\nextra: 1\n")
    with pytest.raises(BenchError) as caught:
        validate_yaml(Whole, path, BenchError, check=lambda data: [Finding(("parts", 1), "is odd", "make it even")])
    lines = [problem.where.split("file.yaml:")[1].split(":")[0] for problem in caught.value.problems]
    assert lines == ["2", "4", "5", "5", "6"]
    assert "parts.b: is odd. Remedy: make it even" in str(caught.value)


class Ranged(FrozenModel):
    """A range."""

    day: float = 0.0
    days: tuple[float, float]


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ("[]", "a list of 0 is too short, it takes at least 2 items"),
        ("[1]", "a list of 1 is too short, it takes at least 2 items"),
        ("[1, 2, 3]", "a list of 3 is too long, it takes at most 2 items"),
    ],
)
def test_a_pair_of_another_length_is_told_once(write: Callable[[str], Path], items: str, told: str) -> None:
    with pytest.raises(BenchError) as caught:
        validate_yaml(Ranged, write(f"days: {items}\n"), BenchError)
    (problem,) = caught.value.problems
    assert problem.where.endswith(":1:7: days")
    assert (problem.message, problem.remedy) == (told, "write two items, like `[lowest, highest]`")


class Dated(FrozenModel):
    """A block with a field that is missing beside one of nearly the same name."""

    day: float = 0.0
    days: tuple[float, ...]


@pytest.mark.parametrize(("text", "meant"), [("dayz: [1]\n", "days"), ("dayz: 1\ndays: [1]\n", "day")])
def test_an_unknown_field_is_taken_for_the_one_that_is_missing(
    write: Callable[[str], Path], text: str, meant: str
) -> None:
    with pytest.raises(BenchError, match=f"'dayz' is not known here. Remedy: did you mean '{meant}'"):
        validate_yaml(Dated, write(text), BenchError)


def test_a_finding_alone_refuses_the_file(write) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BenchError, match=r":1:1: file: is odd"):
        validate_yaml(Whole, write("title: t\n"), BenchError, check=lambda data: [Finding((), "is odd")])


def test_a_file_that_changed_is_read_anew(write: Callable[[str], Path]) -> None:
    first = validate_yaml(Whole, write("title: t\n"), BenchError)
    assert validate_yaml(Whole, write("title: t\n"), BenchError) is first
    assert validate_yaml(Whole, write("title: u\n"), BenchError).title == "u"
    with pytest.raises(BenchError, match="cannot be read"):
        validate_yaml(Whole, write("title: t\n").with_name("gone.yaml"), BenchError)


@pytest.mark.parametrize(("word", "remedy"), [("sise", "did you mean 'size'?"), ("x", "use one of: name, size")])
def test_the_remedy_for_an_unknown_name_is_the_closest_one_or_all(word: str, remedy: str) -> None:
    assert one_of(word, ("name", "size")) == remedy
