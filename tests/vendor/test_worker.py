"""The real vendor environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uv

from nkloop.errors import VendorError
from nkloop.vendor.client import VendorClient

pytestmark = [pytest.mark.vendor, pytest.mark.timeout(600)]
in_session = pytest.mark.asyncio(loop_scope="session")

HEAD = 'requirements = {"robotType": "Flex", "apiLevel": "2.20"}\n'


Write = Callable[[str], Path]


@pytest.fixture
def protocol(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "protocol.py"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    path = tmp_path / "counts.csv"
    path.write_text(
        "Sample ID,Analysis date/time,Viability (%),Viable (x10^6) cells/mL,Total (x10^6) cells/mL\n"
        "arm-1/U1,11/23/2026 10:00:00,93.5,1.25,1.34\n"
    )
    return path


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home folder, with the package cache of the real one."""
    asked = [uv.find_uv_bin(), "cache", "dir"]
    cache = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("UV_CACHE_DIR", cache)
    return home


@in_session
async def test_it_says_what_it_holds(vendor: VendorClient) -> None:
    versions = await vendor.start()
    assert versions["opentrons"] == "9.0.0"
    assert versions["allotropy"]


@in_session
async def test_what_a_protocol_prints_does_not_disturb_the_answers(vendor: VendorClient, protocol: Write) -> None:
    analysis = await vendor.analyse(
        protocol(HEAD + 'def run(ctx):\n    print("{" * 200000)\n    ctx.comment("step 1: hello")\n')
    )
    assert analysis.is_ok
    assert analysis.robot_type == "OT-3 Standard"
    assert [command["params"].get("message") for command in analysis.commands] == [None, "step 1: hello"]


@in_session
async def test_commands_come_without_labware_definitions(vendor: VendorClient, protocol: Write) -> None:
    analysis = await vendor.analyse(
        protocol(HEAD + 'def run(ctx):\n    ctx.load_labware("nest_1_reservoir_195ml", "C2")\n')
    )
    (load,) = [command for command in analysis.commands if command["commandType"] == "loadLabware"]
    assert load["params"]["loadName"] == "nest_1_reservoir_195ml"
    assert load["result"]["labwareId"] == analysis.labware[0]["id"]
    assert "definition" not in load["result"]


@in_session
@pytest.mark.parametrize(
    ("text", "result", "told"),
    [
        pytest.param(
            "def run(ctx:\n",
            "invalid",
            r"protocol.py:1: .*never closed.*one valid Opentrons protocol",
            id="syntax error",
        ),
        pytest.param(
            HEAD + 'def run(ctx):\n    ctx.comment("step 4: x")\n    ctx.load_labware("none_such", "C2")\n',
            "not-ok",
            "protocol.py:4, step 4: .*Remedy: check load name, namespace and version",
            id="unknown labware",
        ),
        pytest.param(
            HEAD + 'def run(ctx):\n    for _ in "ab":\n        ctx.load_labware("nest_1_reservoir_195ml", "C2")\n',
            "not-ok",
            "protocol.py:4: .*C2.*Remedy: give each labware a slot of its own",
            id="two in a slot",
        ),
        pytest.param(
            HEAD
            + 'def add_parameters(p):\n    p.add_csv_file(variable_name="worklist", display_name="Worklist")\n'
            + "def run(ctx):\n    ctx.params.worklist.contents\n",
            "parameter-value-required",
            "Remedy: give the protocol its worklist CSV",
            id="no worklist",
        ),
    ],
)
async def test_errors_are_ours(vendor: VendorClient, protocol: Write, text: str, result: str, told: str) -> None:
    analysis = await vendor.analyse(protocol(text))
    assert analysis.result == result
    (error,) = analysis.errors
    sentence = f"{error['where']}: {error['message']}. Remedy: {error['remedy']}"
    assert re.search(told, sentence, re.DOTALL), sentence


@in_session
async def test_run_time_values_reach_the_protocol(vendor: VendorClient, protocol: Write) -> None:
    parameters = "def add_parameters(p):\n    p.add_int('n', 'n', default=1, minimum=1, maximum=9)\n"
    path = protocol(HEAD + parameters + "def run(ctx):\n    ctx.comment(f'n is {ctx.params.n}')\n")
    analysis = await vendor.analyse(path, values={"n": 7})
    assert analysis.commands[-1]["params"]["message"] == "n is 7"


@in_session
async def test_a_standard_definition_is_found_and_an_unknown_one_refused(vendor: VendorClient) -> None:
    definition = await vendor.labware_definition("nest_12_reservoir_15ml", "opentrons", 1)
    assert definition["parameters"]["loadName"] == "nest_12_reservoir_15ml"
    assert await vendor.validate_labware(definition) == ()
    with pytest.raises(VendorError, match="none_such"):
        await vendor.labware_definition("none_such", "opentrons", 1)


@in_session
async def test_a_wrong_definition_is_told_with_its_field(vendor: VendorClient) -> None:
    definition = await vendor.labware_definition("nest_12_reservoir_15ml", "opentrons", 1)
    wrong = {**definition, "wells": {**definition["wells"], "A1": {**definition["wells"]["A1"], "depth": -3}}}
    problems = await vendor.validate_labware(wrong)
    assert any("wells.A1" in problem.message and "-3" in problem.message for problem in problems)
    assert {problem.where for problem in problems} == {"nest_12_reservoir_15ml"}


@in_session
async def test_an_instrument_file_is_parsed(vendor: VendorClient, counts: Path) -> None:
    parsed = await vendor.parse_instrument_file(counts, "BECKMAN_VI_CELL_BLU")
    (document,) = parsed["cell counting aggregate document"]["cell counting document"]
    (measured,) = document["measurement aggregate document"]["measurement document"]
    assert measured["sample document"]["sample identifier"] == "arm-1/U1"
    with pytest.raises(VendorError, match=r"vendor 'NONE_SUCH' is not one of .*BMG_MARS"):
        await vendor.parse_instrument_file(counts, "NONE_SUCH")


@in_session
async def test_it_writes_nothing_into_the_home_of_the_user(protocol: Write, empty_home: Path) -> None:
    async with VendorClient() as client:
        assert (await client.analyse(protocol(HEAD + "def run(ctx):\n    pass\n"))).is_ok
    assert {name for name in os.listdir(empty_home) if name not in (".cache", ".local", ".config")} == set()


def test_a_killed_parent_leaves_no_worker_and_no_folder(protocol: Write, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    endless = protocol(HEAD + "def run(ctx):\n    while True: pass\n")
    script = f"""
        import asyncio
        from pathlib import Path
        from nkloop.vendor.client import VendorClient
        async def main():
            client = VendorClient()
            print((await client.start())["pid"], flush=True)
            await client.analyse(Path({str(endless)!r}))
        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.5)
        folders = list(temporary.glob("nkloop-vendor-*"))
        parent.kill()
    assert len(folders) == 1
    end = time.monotonic() + 10
    while (Path(f"/proc/{pid}").exists() or folders[0].exists()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
    assert not folders[0].exists()
