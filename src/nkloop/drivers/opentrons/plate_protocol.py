"""The protocol with which a Flex reads one plate in its own plate reader; made for each read, moves no liquid."""

from __future__ import annotations

from collections.abc import Sequence

EXPORT = "nkloop-reading"
"""Begin of the name of every file the robot exports."""
_TEMPLATE = '''"""Read one plate in the on-deck plate reader. Written by nkloop; moves no liquid."""

from opentrons.protocol_api import OFF_DECK

requirements = {{"robotType": "Flex", "apiLevel": "2.21"}}
metadata = {{"protocolName": {title!r}}}


def run(ctx):
    reader = ctx.load_module("absorbanceReaderV1", {slot!r})
    plate = ctx.load_labware({load_name!r}, OFF_DECK, namespace={namespace!r}, version={version}, label={barcode!r})
    reader.close_lid()
    reader.initialize("multi" if len({wavelengths}) > 1 else "single", {wavelengths})
    reader.open_lid()
    ctx.move_labware(plate, reader, use_gripper=False)
    reader.close_lid()
    reader.read(export_filename={export!r})
    reader.open_lid()
'''


def plate_protocol(
    barcode: str, load_name: str, *, namespace: str, version: int, slot: str, wavelengths_nm: Sequence[int]
) -> str:
    """Text of the protocol.

    The reader is empty and closed while it measures its blank; then the lid opens and the run waits until a person has
    put the plate in (the robot waits at every labware that people move). The lid is open at the end, so that the plate
    can be taken out.

    Args:
        barcode: plate, as it is named on the robot's screen and in the exported files.
        load_name: its labware.
        namespace: of the labware.
        version: of the labware.
        slot: slot of the reader.
        wavelengths_nm: filters to read, one to six.
    """
    return _TEMPLATE.format(
        barcode=barcode,
        title=f"Read plate {barcode} at {', '.join(map(str, wavelengths_nm))} nm",
        slot=slot,
        load_name=load_name,
        namespace=namespace,
        version=version,
        wavelengths=list(wavelengths_nm),
        export=f"{EXPORT}-{barcode}-",
    )
