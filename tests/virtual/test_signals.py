"""Chemistry of the LDH reaction and what the reader makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from nkloop.virtual.signals import PLATE_OD, UPPER_LIMIT, develop, measure, signal


def developed(ldh: float = 2500.0, hours: float = 0.5, stop_ul: float = 0.0, substrate_ul: float = 50.0) -> float:
    """A490 of a detection well."""
    amounts = {"ldh": ldh, "LDH substrate": substrate_ul, "stop solution": stop_ul}
    develop(amounts, 50 + stop_ul + substrate_ul, hours)
    return signal(amounts, "absorbance", wavelength_nm=490)


def test_absorbance_grows_with_ldh_and_time_until_the_reagent_is_used_up() -> None:
    assert developed(0, 0) == pytest.approx(PLATE_OD)
    assert 0.05 < developed(0) < 0.15
    assert 1.0 < developed() < 2.0
    series = [developed(ldh) for ldh in (0, 250, 1000, 2500, 5000)]
    assert series == sorted(set(series))
    assert developed(1000, 0.5) - developed(0, 0.5) == pytest.approx(0.4 * (developed(2500) - developed(0)), rel=0.15)
    assert developed(1e6, 5) < 6.2


def test_stop_solution_halts_and_no_substrate_shows_the_plate_only() -> None:
    assert developed(stop_ul=50) == pytest.approx(PLATE_OD)
    assert developed(substrate_ul=0) == pytest.approx(PLATE_OD)
    assert developed(stop_ul=5) < developed()


def test_the_reference_wavelength_sees_no_formazan() -> None:
    amounts = {"formazan": 1.5}
    at_490 = signal(amounts, "absorbance", wavelength_nm=490)
    assert at_490 == pytest.approx(1.5 + PLATE_OD, rel=0.01)
    assert signal(amounts, "absorbance", wavelength_nm=680) < 0.06


def test_labelled_living_cells_shine() -> None:
    labelled = {"target:K-562+calcein": 1e4, "calcein": 0.0}
    blank = signal({"target:K-562": 1e4}, "fluorescence", excitation_nm=485, emission_nm=520)
    assert signal(labelled, "fluorescence", excitation_nm=485, emission_nm=520) > 50 * blank
    assert signal(labelled, "fluorescence", excitation_nm=600, emission_nm=650) < 2 * blank
    luciferase = {"target:K-562+luc": 1e4, "luciferin": 60.0}
    dark = signal({"target:K-562+luc": 1e4}, "luminescence", volume_ul=200)
    assert signal(luciferase, "luminescence", volume_ul=200) > 1000 * dark
    atp = {"nk:U1": 1e4, "target:K-562": 1e4, "CellTiter reagent": 100.0}
    assert signal(atp, "luminescence", volume_ul=200) == pytest.approx(40 + 25 * 2e4)


def test_noise_is_two_percent_and_readers_saturate() -> None:
    rng = np.random.default_rng(1)
    shown = [measure(1.5, "absorbance", rng) for _ in range(2000)]
    assert np.std(shown) / 1.5 == pytest.approx(0.02, rel=0.1)
    assert np.mean(shown) == pytest.approx(1.5, rel=0.002)
    for mode, limit in UPPER_LIMIT.items():
        assert measure(limit * 10, mode, rng) == limit  # type: ignore[arg-type]
