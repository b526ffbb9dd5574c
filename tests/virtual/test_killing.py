"""Lysis against E:T, time, tumour line and potency; LDH, detergent."""

from __future__ import annotations

import pytest

from nkloop.virtual.killing import decay_ldh, hazard, kill, lysis_rate

TARGETS = 1e4
VOLUME = 200.0


def lysed(ratio: float, hours: float = 4.0, line: str = "K-562", potency: float = 0.8, pace: float = 1.0) -> float:
    """Share of targets lysed."""
    amounts = {f"target:{line}": TARGETS, "nk:U1": ratio * TARGETS, "lytic:U1": ratio * TARGETS * potency}
    kill(amounts, VOLUME, hours, pace)
    assert amounts[f"target:{line}"] + amounts[f"lysed:{line}"] == pytest.approx(TARGETS)
    return amounts[f"lysed:{line}"] / TARGETS


def test_lysis_rises_with_true_ratio_time_and_potency() -> None:
    ratios = [lysed(r) for r in (0, 0.31, 0.63, 1.25, 2.5, 5, 10, 20)]
    assert ratios == sorted(set(ratios))
    times = [lysed(5, hours) for hours in (0.25, 0.5, 1, 2, 4, 8)]
    assert times == sorted(set(times))
    assert lysed(2, potency=1.0) > lysed(2, potency=0.5)
    assert lysed(2, pace=0.1) < 0.3 * lysed(2)


def test_k562_dies_as_published_and_half_of_it_within_two_hours() -> None:
    assert 0.6 < lysed(10) < 0.9
    assert 0.1 < lysed(0.31) < 0.4
    assert lysed(20, 2.0) > 0.5 * lysed(20, 8.0)


def test_lines_differ_in_sensitivity_whatever_their_spelling_or_label() -> None:
    order = [lysed(10, line=line) for line in ("K-562", "SW480", "HL-60", "A549")]
    assert order == sorted(order, reverse=True)
    assert lysed(10, line="k562") == lysed(10, line="K-562") == lysed(10, line="K-562+calcein")
    assert 0 < hazard("some new line", 3) < hazard("K-562", 3)


def test_targets_alone_die_a_little_and_give_their_ldh_away() -> None:
    amounts = {"target:K-562": TARGETS}
    kill(amounts, VOLUME, 4)
    assert 0.03 < amounts["lysed:K-562"] / TARGETS < 0.10
    assert 0.8 * amounts["lysed:K-562"] < amounts["ldh"] < amounts["lysed:K-562"]


def test_ldh_decays_by_half_in_nine_hours() -> None:
    amounts = {"ldh": 100.0}
    decay_ldh(amounts, 9)
    assert amounts["ldh"] == pytest.approx(50)


def test_enough_lysis_buffer_opens_everything_and_too_little_does_not() -> None:
    def released(buffer_ul: float) -> float:
        amounts = {"target:K-562": TARGETS, "nk:U1": TARGETS, "lytic:U1": 0.0, "lysis buffer": buffer_ul}
        kill(amounts, VOLUME + buffer_ul, 0.75, 0.1)
        return amounts.get("ldh", 0.0)

    whole = TARGETS * 1.2
    assert released(20) == pytest.approx(whole, rel=0.03)
    assert released(6) < 0.75 * whole
    assert released(1) < 0.05 * whole
    assert released(20) > released(8) > released(5) > released(1)
    assert lysis_rate({"lysis buffer": 5.0}, 0.0) == 0.0


def test_dead_effectors_leak_into_the_background() -> None:
    amounts = {"target:K-562": 0.0, "dead:U1": 1e4}
    kill(amounts, VOLUME, 4)
    assert 100 < amounts["ldh"] < 0.1 * 1e4


def test_calcein_comes_free_with_lysis() -> None:
    amounts = {"target:K-562+calcein": TARGETS, "nk:U1": 5 * TARGETS, "lytic:U1": 5 * TARGETS}
    kill(amounts, VOLUME, 4)
    assert amounts["calcein"] == pytest.approx(amounts["lysed:K-562+calcein"])
