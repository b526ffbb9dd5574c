"""One plate read in a reader on the deck of a robot, as a worklist: so its run is journalled as any other."""

from __future__ import annotations

from collections.abc import Sequence

from nkloop.worklists.models import PLATE_READING, DeckItem, OperatorTask, Step, Worklist

PLATE = "plate"
"""Nickname of the plate."""
PUT_IN, MEASURE = 4, 6
"""Numbers of the steps in which a person puts the plate in, and in which it is measured."""


def reading_worklist(plate: DeckItem, wavelengths_nm: Sequence[int], reader: str) -> Worklist:
    """Lid and blank of the empty reader, the plate put in by a person, lid and measurement, the lid open again.

    Args:
        plate: with its barcode, in the slot of the reader; its nickname is `PLATE`.
        wavelengths_nm: filters to read.
        reader: how people call the reader.
    """
    read = f"{', '.join(map(str, wavelengths_nm))} nm"
    put_in = OperatorTask(
        kind="move_to_reader",
        instruction=f"Put plate {plate.barcode} into {reader}, lid off, A1 at the mark.",
        labware=(PLATE,),
    )
    steps = (
        Step(number=1, action="lid", comment="close the lid over the empty reader"),
        Step(number=2, action="read", comment=f"measure the blank at {read}"),
        Step(number=3, action="lid", comment="open the lid"),
        Step(number=PUT_IN, action="pause", operator=put_in, comment="the plate into the reader"),
        Step(number=5, action="lid", comment="close the lid over the plate"),
        Step(number=MEASURE, action="read", comment=f"measure the plate at {read}"),
        Step(number=7, action="lid", comment="open the lid, so that the plate can be taken out"),
    )
    return Worklist(
        name=f"Read plate {plate.barcode} at {read}",
        procedure=PLATE_READING,
        pipettes={},
        deck=(plate,),
        fillings=(),
        steps=steps,
    )
