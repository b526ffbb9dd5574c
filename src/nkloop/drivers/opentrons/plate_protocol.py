"""The protocol with which a Flex reads one plate in its own plate reader; made for each read, moves no liquid."""

from __future__ import annotations

from collections.abc import Sequence

from nkloop.worklists.models import Worklist

EXPORT = "nkloop-reading"
"""Begin of the name of every file the robot exports."""
_TEMPLATE = '''"""Read one plate in the on-deck plate reader. Written by nkloop; moves no liquid."""

from opentrons.protocol_api import OFF_DECK

requirements = {{"robotType": "Flex", "apiLevel": "2.21"}}
metadata = {{"protocolName": {title!r}}}


def run(ctx):
    reader = ctx.load_module("absorbanceReaderV1", {slot!r})
    plate = ctx.load_labware({load_name!r}, OFF_DECK, namespace={namespace!r}, version={version}, label={barcode!r})
    ctx.comment({told[0]!r})
    reader.close_lid()
    ctx.comment({told[1]!r})
    reader.initialize("multi" if len({wavelengths}) > 1 else "single", {wavelengths})
    ctx.comment({told[2]!r})
    reader.open_lid()
    ctx.comment({told[3]!r})
    ctx.move_labware(plate, reader, use_gripper=False)
    ctx.comment({told[4]!r})
    reader.close_lid()
    ctx.comment({told[5]!r})
    reader.read(export_filename={export!r})
    ctx.comment({told[6]!r})
    reader.open_lid()
'''


def plate_protocol(worklist: Worklist, wavelengths_nm: Sequence[int]) -> str:
    """Text of the protocol.

    The reader is empty and closed while it measures its blank; then the lid opens and the run waits until a person has
    put the plate in (the robot waits at every labware that people move). The lid is open at the end, so that the plate
    can be taken out. Each step is announced, so that what the robot did tells the step it belongs to.

    Args:
        worklist: of the reading (`reading_worklist`).
        wavelengths_nm: filters to read, one to six.
    """
    (plate,) = worklist.deck
    return _TEMPLATE.format(
        barcode=plate.barcode,
        title=worklist.name,
        slot=plate.slot,
        load_name=plate.load_name,
        namespace=plate.namespace,
        version=plate.version,
        wavelengths=list(wavelengths_nm),
        export=f"{EXPORT}-{plate.barcode}-",
        told=[f"step {step.number}: {step.comment}" for step in worklist.steps],
    )
