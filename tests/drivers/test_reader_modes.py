"""What a reader can measure, and what it is refused."""

from __future__ import annotations

import pytest

from nkloop.assays.measurements import ReadRequest
from nkloop.drivers.reader_modes import FilterPair, ReaderMode, require_readable
from nkloop.errors import BenchError

BYONOY = (ReaderMode(mode="absorbance", wavelengths_nm=(450, 562, 600, 650)),)
FLUORIMETER = (
    ReaderMode(mode="fluorescence", filters=(FilterPair(excitation_nm=485, emission_nm=530),), tolerance_nm=5),
    ReaderMode(mode="luminescence"),
)


def request(mode: str, **nm: int) -> ReadRequest:
    return ReadRequest.model_validate({"barcode": "P-1", "load_name": "plate", "mode": mode, **nm})


@pytest.mark.parametrize(
    ("asked", "modes", "told"),
    [
        pytest.param(request("absorbance", wavelength_nm=490), BYONOY, "has no 490 nm, it reads .*450, 562", id="490"),
        pytest.param(
            request("absorbance", wavelength_nm=450, reference_wavelength_nm=680), BYONOY, "no 680 nm", id="reference"
        ),
        pytest.param(request("luminescence"), BYONOY, "does not read luminescence", id="mode"),
        pytest.param(
            request("fluorescence", excitation_nm=485, emission_nm=590), FLUORIMETER, "no filters 485/590", id="pair"
        ),
    ],
)
def test_what_a_reader_has_not_is_refused_with_what_it_has(
    asked: ReadRequest, modes: tuple[ReaderMode, ...], told: str
) -> None:
    with pytest.raises(BenchError, match=told):
        require_readable(asked, modes, "the reader")


@pytest.mark.parametrize(
    ("asked", "modes"),
    [
        (request("absorbance", wavelength_nm=562, reference_wavelength_nm=650), BYONOY),
        (request("fluorescence", excitation_nm=488, emission_nm=528), FLUORIMETER),
        (request("luminescence"), FLUORIMETER),
        (request("absorbance", wavelength_nm=490), (ReaderMode(mode="absorbance", range_nm=(230, 1000)),)),
        (request("absorbance", wavelength_nm=490), ()),
    ],
)
def test_what_a_reader_has_is_allowed(asked: ReadRequest, modes: tuple[ReaderMode, ...]) -> None:
    require_readable(asked, modes, "the reader")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"mode": "absorbance"}, "without a wavelength"),
        ({"mode": "fluorescence"}, "without a filter"),
        ({"mode": "absorbance", "range_nm": (700, 400)}, "must rise"),
        ({"mode": "absorbance", "range_nm": (100, 400)}, "190 to 1100"),
    ],
)
def test_a_mode_that_says_too_little_is_refused(fields: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ReaderMode.model_validate(fields)
