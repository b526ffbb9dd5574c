"""The bench file that ships is valid and describes the default Flex."""

from pathlib import Path

import pytest

from nkloop.drivers.bench_file import BenchFile
from nkloop.errors import BenchError
from nkloop.yamlfile import validate_yaml

FILE = Path(__file__).parents[2] / "devices" / "virtual.yaml"


@pytest.fixture(scope="module")
def bench() -> BenchFile:
    return validate_yaml(BenchFile, FILE, BenchError)


def test_the_deck_is_the_default_one(bench: BenchFile) -> None:
    assert bench.simulated
    assert {p.mount: (p.load_name, p.channels) for p in bench.deck.pipettes} == {
        "left": ("flex_1channel_1000", 1),
        "right": ("flex_8channel_1000", 8),
    }
    assert bench.deck.module_slot("heaterShakerModuleV1") == "D1"
    assert bench.deck.module_slot("temperatureModuleV2") == "C1"
    assert bench.deck.trash_slot == "A3"


def test_accuracy_is_given_over_the_whole_range_and_unverified(bench: BenchFile) -> None:
    for pipette in bench.deck.pipettes:
        volumes = [line.volume_ul for line in pipette.accuracy]
        assert volumes == sorted(volumes)
        assert (volumes[0], volumes[-1]) == (pipette.min_volume_ul, pipette.max_volume_ul)
        assert pipette.verified_by is None
        assert "unverified" in pipette.source


def test_every_device_is_reached_over_the_address_of_the_virtual_bench(bench: BenchFile) -> None:
    for device in (bench.liquid_handler, bench.plate_reader, bench.cell_counter, bench.operator, bench.clock):
        assert "${NKLOOP_VIRTUAL_URL}" in str(device.settings)


def test_its_lot_list_exists(bench: BenchFile) -> None:
    assert (FILE.parent / bench.lots).is_file()
