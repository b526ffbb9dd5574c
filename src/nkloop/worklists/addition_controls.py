"""Cultures that go without what is added: which run they belong to, and the volume of carrier they get instead.

Whatever is added thins the medium of a culture. A control that got nothing would keep more of its cytokines than the
product beside it, and the comparison would measure that too.
"""

from __future__ import annotations

from collections.abc import Sequence

from nkloop.worklists.addition_plans import AdditionVessel


def controls_of(
    part: Sequence[AdditionVessel], treated: Sequence[AdditionVessel], controls: Sequence[AdditionVessel]
) -> tuple[AdditionVessel, ...]:
    """Controls that belong to a part: beside the first treated vessel of their donor, else beside the first of all."""
    first: dict[str, str] = {}
    for one in treated:
        first.setdefault(one.donor, one.vessel)
    here = {one.vessel for one in part}
    return tuple(one for one in controls if first.get(one.donor, treated[0].vessel) in here)


def same_shares(
    controls: Sequence[AdditionVessel],
    treated: Sequence[AdditionVessel],
    volumes_ul: Sequence[float],
    *,
    thinned_ul: tuple[Sequence[float], Sequence[float]],
) -> tuple[float, ...]:
    """Volume for each control in µL, the same share of what is thinned as in the vessels of its donor on average.

    Args:
        controls: vessels that go without.
        treated: vessels that get something.
        volumes_ul: what each of those gets.
        thinned_ul: what it is added to, in the order of `controls` and of `treated`.
    """
    shares = [volume / into for volume, into in zip(volumes_ul, thinned_ul[1], strict=True)]
    return tuple(into * _mean(_beside(one, treated, shares)) for one, into in zip(controls, thinned_ul[0], strict=True))


def thinned_percent(volume_ul: float, added_ul: float) -> float:
    """By how many percent what is added lowers the concentrations of a culture."""
    return 100 * added_ul / (volume_ul + added_ul)


def _beside(control: AdditionVessel, treated: Sequence[AdditionVessel], values: Sequence[float]) -> list[float]:
    """Values of the treated vessels of the donor of a control; of all where it has none."""
    own = [value for one, value in zip(treated, values, strict=True) if one.donor == control.donor]
    return own or list(values)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
