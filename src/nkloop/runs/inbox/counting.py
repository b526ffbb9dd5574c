"""Which samples of a counter's file are the wells that somebody waits for: by barcode, wells and time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from nkloop.assays.readings import SampleCount
from nkloop.records.inbox import Wait
from nkloop.runs.inbox.fitting import Refusal
from nkloop.runs.inbox.matching import Matcher, same_barcode

_SAMPLE = re.compile(r"(?:(?P<plate>.+?)[\s:_/-]+)?(?P<row>[a-p])0*(?P<column>\d{1,2})", re.IGNORECASE)
"""`PLATE:WELL`, also with blank, `_`, `-`, `/`; or a well alone."""


@dataclass(frozen=True)
class CountMatcher:
    """The rules of one inbox for cell counts."""

    rules: Matcher

    def counts(
        self, samples: Sequence[SampleCount], wait: Wait, wells: Sequence[str], arrived: datetime, *, named: bool
    ) -> dict[str, SampleCount] | Refusal | None:
        """Counts by well that a wait asked for, each with the time it was taken at; None when none is of its plate.

        A counter's export often holds older counts, too: those out of time are passed over, and refused where nothing
        else is told of a well.

        Args:
            samples: what the file says.
            wait: what is waited for.
            wells: of the plate that were asked for.
            arrived: when the file was seen; the time of a count where the file tells none.
            named: whether a person says that the samples are of this plate; their barcode and time then do not count.
        """
        own = [one for one in samples if sample_place(one.sample, wait.barcode)]
        if named and not own:
            own = [one for one in samples if sample_parts(one.sample)[1]]
        if not own:
            return None
        settled = [self._settled(one, arrived) for one in own]
        in_time = [one for one, at in settled if named or self.rules.out_of_time(at, wait, "counted") is None]
        found: dict[str, SampleCount] = {}
        for one in in_time:
            well = sample_parts(one.sample)[1]
            if well in wells and well in found:
                reason = f"well {well} of plate {wait.barcode} was counted twice"
                return Refusal("two_candidates", reason, "delete the count that does not hold, and export again")
            found[well] = one
        missing = [well for well in wells if well not in found]
        if not missing:
            return {well: found[well] for well in wells}
        others = [item for item in settled if sample_parts(item[0].sample)[1] == missing[0]]
        refused = self._out_of_time(max(others, key=lambda item: item[1]), wait) if others else None
        reason = f"plate {wait.barcode}: no count for {', '.join(missing)}"
        remedy = f"count them, name each sample like {wait.barcode}:{missing[0]}"
        return refused or Refusal("wrong_wells", reason, remedy)

    def _settled(self, one: SampleCount, arrived: datetime) -> tuple[SampleCount, datetime]:
        at = self.rules.read_at(one.counted_at, one.notes) or arrived
        return one.model_copy(update={"counted_at": at}), at

    def _out_of_time(self, last: tuple[SampleCount, datetime], wait: Wait) -> Refusal | None:
        one, at = last
        return self.rules.out_of_time(at, wait, f"counted in sample {one.sample}", one.notes)


def sample_parts(sample: str) -> tuple[str, str]:
    """Plate and well of a counter's sample; what the name does not tell is empty."""
    match = _SAMPLE.fullmatch(sample.strip())
    return (match["plate"] or "", f"{match['row'].upper()}{match['column']}") if match else ("", "")


def sample_place(sample: str, barcode: str) -> str:
    """Well of a counter's sample of a plate; empty when it is of another."""
    plate, well = sample_parts(sample)
    return well if plate and same_barcode(plate, barcode) else ""


def left_samples(samples: Sequence[SampleCount]) -> list[dict[str, str]]:
    """What a file tells of plates and wells that nobody waits for yet, a line per plate."""
    wells: dict[str, list[str]] = {}
    for one in samples:
        plate, well = sample_parts(one.sample)
        wells.setdefault(plate or one.sample, []).append(well if plate else "")
    why = "nobody waits for these counts"
    return [
        {"plate": plate, "state": "left out", "why": why, "wells": ", ".join(dict.fromkeys(filter(None, found)))}
        for plate, found in wells.items()
    ]


def still_left(samples: Sequence[SampleCount], told: Sequence[dict[str, str]], plates: set[str]) -> list[SampleCount]:
    """Samples that a file recorded before has left, of plates now waited for (in small letters).

    Args:
        samples: all of the file.
        told: what became of its plates.
        plates: those waited for.
    """
    left = {
        (one["plate"].casefold(), well)
        for one in told
        if one["state"] != "recorded" and one["plate"].casefold() in plates
        for well in one.get("wells", "").split(", ")
    }
    return [one for one in samples if (sample_parts(one.sample)[0].casefold(), sample_parts(one.sample)[1]) in left]
