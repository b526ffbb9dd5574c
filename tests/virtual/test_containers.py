"""Contents, sedimentation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.virtual.containers import PELLETED_SHARE, SETTLED_SHARE, Contents, Well

AMOUNTS = st.dictionaries(st.sampled_from(["IL-15", "base", "nk:U1", "dead:U1"]), st.floats(0, 1e6), max_size=4)


@given(st.floats(0.1, 1e5), AMOUNTS, st.floats(0, 1e5), st.floats(0, 3))
def test_nothing_is_lost_by_taking(volume: float, amounts: dict[str, float], taken: float, share: float) -> None:
    well = Contents(volume, dict(amounts))
    out = well.take(taken, cell_share=share)
    assert well.volume_ul + out.volume_ul == pytest.approx(volume)
    assert out.volume_ul <= volume
    for key, amount in amounts.items():
        assert well.amounts[key] + out.amounts.get(key, 0) == pytest.approx(amount)
        assert well.amounts[key] >= 0


def test_cells_stay_below_a_settled_supernatant_and_dissolved_matter_does_not() -> None:
    well = Contents(1000, {"nk:U1": 1000.0, "IL-15": 1000.0})
    out = well.take(500, cell_share=SETTLED_SHARE)
    assert out.amounts["IL-15"] == 500
    assert out.amounts["nk:U1"] == pytest.approx(500 * SETTLED_SHARE)


def test_cells_settle_after_mixing_and_a_pellet_waits_for_the_next_mix() -> None:
    well = Well(1000, {"nk:U1": 1.0})
    assert well.cell_share(0) == pytest.approx(SETTLED_SHARE)
    well.stir(0)
    shares = [well.cell_share(t) for t in (0, 100, 300, 1200, 7200)]
    assert shares[:2] == [1.0, 1.0]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == pytest.approx(SETTLED_SHARE, rel=0.01)
    well.pellet()
    assert well.cell_share(7200) == PELLETED_SHARE
    well.stir(7200)
    assert well.cell_share(7200) == 1.0
