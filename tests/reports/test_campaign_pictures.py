"""Pictures of a campaign that compare arms, donors and plates: what they show is what was computed."""

from __future__ import annotations

import re
from statistics import fmean, stdev

import pytest

from nkloop.assays.models import AssayResult, WellLysis
from nkloop.reports import campaign_data as data
from nkloop.reports import pictures
from nkloop.reports.models import CampaignStory
from nkloop.reports.numbers import signed

VALUES = (52.0, 55.0, 49.0, 53.0, 51.0, 54.0, 71.0)


def test_the_forest_shows_every_arm_with_its_simultaneous_interval(small: CampaignStory) -> None:
    svg = pictures.effects_svg(small, 1)
    effects = data.effects_of(small, 1)
    assert len(effects) == 5
    for effect in effects:
        assert effect.arm in svg
        assert f"{signed(effect.effect)} ({signed(effect.ci_low)} to {signed(effect.ci_high)})" in svg


def test_forest_and_summaries_agree_within_donors(small: CampaignStory) -> None:
    deltas = {s.arm: s.delta for s in small.summaries}
    for effect in data.effects_of(small, 1):
        assert effect.effect == pytest.approx(deltas[effect.arm], abs=1e-9)


def test_donors_have_a_panel_each(small: CampaignStory) -> None:
    svg = pictures.donors_svg(small, 1)
    assert re.findall(r"Donor [^<]+", svg) == ["Donor U1", "Donor U2"]
    one = small.model_copy(update={"observations": tuple(o for o in small.observations if o.donor == "U1")})
    assert pictures.donors_svg(one, 1) == ""


def test_the_reference_effector_is_followed_once_there_is_a_history(small: CampaignStory) -> None:
    assert pictures.controls_svg(small) == {}
    plates = tuple(_with_reference(small.plates[0], n, value) for n, value in enumerate(VALUES))
    story = small.model_copy(update={"plates": plates})
    ((line, history),) = data.controls_of(story).items()
    assert line == plates[0].target_line
    assert history.plates == tuple(p.barcode for p in plates)
    assert (history.mean, history.spread) == pytest.approx((fmean(VALUES[:-1]), stdev(VALUES[:-1])))
    assert "1-3s" in pictures.controls_svg(story)[line]
    assert data.controls_of(story.model_copy(update={"plates": plates[:5]})) == {}


def _with_reference(plate: AssayResult, number: int, lysis: float) -> AssayResult:
    reference = plate.layout.reference
    assert reference is not None
    well = WellLysis(
        well="H12",
        sample=reference.name,
        target_line=plate.target_line,
        nominal_ratio=10,
        true_ratio=8,
        lysis_percent=lysis,
    )
    return plate.model_copy(update={"barcode": f"NKP-1{number:03d}", "lysis": (*plate.lysis, well)})
