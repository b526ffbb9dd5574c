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
    lowest_ul: float,
) -> tuple[float, ...]:
    """Volume for each control, so that it is thinned like the treated vessels of its donor are on average.

    Args:
        controls: vessels that go without.
        treated: vessels of the run that get the component.
        volumes_ul: what each of those gets.
        lowest_ul: smallest volume the pipette moves reliably.
    """
    return tuple(
        max(lowest_ul, round(one.volume_ul * _mean([v / t.volume_ul for t, v in _beside(one, treated, volumes_ul)]), 1))
        for one in controls
    )


def same_volumes(
    controls: Sequence[AdditionVessel], treated: Sequence[AdditionVessel], volumes_ul: Sequence[float]
) -> tuple[float, ...]:
    """Volume of carrier in the tube of each control, as in the tubes of its donor on average."""
    return tuple(round(_mean([v for _, v in _beside(one, treated, volumes_ul)]), 1) for one in controls)


def thinned_percent(volume_ul: float, added_ul: float) -> float:
    """By how many percent what is added lowers the concentrations of a culture."""
    return 100 * added_ul / (volume_ul + added_ul)


def _beside(
    control: AdditionVessel, treated: Sequence[AdditionVessel], volumes_ul: Sequence[float]
) -> list[tuple[AdditionVessel, float]]:
    every = list(zip(treated, volumes_ul, strict=True))
    return [pair for pair in every if pair[0].donor == control.donor] or every


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
