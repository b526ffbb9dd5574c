"""Values from outside the file, and secrets that must not stand in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nkloop.drivers import secrets
from nkloop.drivers.bench import load_bench_file
from nkloop.drivers.secrets import fill_variables, literal_secrets, read_blocks_with
from nkloop.errors import BenchError

VIRTUAL = Path(__file__).resolve().parents[2] / "devices" / "virtual.yaml"


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    held = {"flex-token": "open ${HOME} sesame"}

    def read(name: str) -> str:
        if name not in held:
            raise BenchError(f"Prefect block '{name}' cannot be read", remedy="save it")
        return held[name]

    monkeypatch.setattr(secrets, "_reader", secrets._nobody)
    read_blocks_with(read)
    yield held
    read_blocks_with(secrets._nobody)


def test_blocks_and_variables_are_filled_in_one_pass(blocks: dict[str, str]) -> None:
    filled = fill_variables({"a": "${X}-${block:flex-token}"}, "here", {"X": "1"})
    assert filled == {"a": "1-open ${HOME} sesame"}


def test_an_absent_block_is_told_with_its_place(blocks: dict[str, str]) -> None:
    with pytest.raises(BenchError, match=r"bench lab, reader\.settings\.key: Prefect block 'other'"):
        fill_variables({"key": "${block:other}"}, "bench lab, reader.settings", {})


def test_without_prefect_a_block_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_reader", secrets._nobody)
    with pytest.raises(BenchError, match="nothing here reads blocks"):
        fill_variables("${block:x}", "here", {})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        pytest.param({"api_key": "abc"}, "the value of 'api_key'", id="named"),
        pytest.param({"inner": [{"Password": "x ${A}"}]}, "the value of 'Password'", id="nested_and_half_filled"),
        pytest.param({"url": "http://me:hush@flex:31950"}, "a password inside an address", id="in_address"),
        pytest.param({"header": "Bearer 0123456789abc"}, "form of a token", id="header"),
        pytest.param({"x": "eyJhbGciOi.eyJzdWIiOiIx.sig"}, "form of a token", id="signed_token"),
        pytest.param({"x": "-----BEGIN RSA PRIVATE KEY-----"}, "form of a token", id="key"),
    ],
)
def test_a_secret_in_plain_text_is_told_and_not_repeated(settings: dict[str, object], told: str) -> None:
    (finding,) = literal_secrets(settings)
    assert told in finding.message
    assert "hush" not in finding.message + finding.remedy
    assert "block" in finding.remedy


@pytest.mark.parametrize(
    "settings",
    [
        {"token": "${TOKEN}"},
        {"token": "${block:flex-token}"},
        {"token_seconds": 30, "password": ""},
        {"url": "http://me:${PW}@flex:31950"},
        {"url": "http://10.0.0.7:31950", "port": "/dev/ttyUSB0", "keyboard": "de", "monkey": "x"},
    ],
)
def test_what_comes_from_outside_is_no_secret_of_the_file(settings: dict[str, object]) -> None:
    assert list(literal_secrets(settings)) == []


def test_a_bench_file_with_a_password_is_refused_with_its_line(tmp_path: Path) -> None:
    shipped = VIRTUAL.read_text(encoding="utf-8")
    text = shipped.replace("    poll_seconds: 0.03", "    token: abc123\n    poll_seconds: 0.03")
    (tmp_path / "virtual.yaml").write_text(text, encoding="utf-8")
    line = text[: text.index("token:")].count("\n") + 1
    where = rf"virtual\.yaml:{line}:12: liquid_handler\.settings\.token: "
    with pytest.raises(BenchError, match=where + ".* plain text") as told:
        load_bench_file(tmp_path / "virtual.yaml")
    assert "abc123" not in str(told.value)
