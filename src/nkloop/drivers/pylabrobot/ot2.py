"""The Opentrons OT-2 as PyLabRobot drives it: two mounts with one channel each, slots 1 to 11."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import httpx

from nkloop.drivers.interfaces import Finding
from nkloop.drivers.pylabrobot import adapter
from nkloop.drivers.pylabrobot.family import Family, HandlerModel
from nkloop.errors import BenchError, DeviceUnreachableError, words_of
from nkloop.labware.models import LabwareType
from nkloop.labware.outlines import Outline
from nkloop.worklists.models import channels_of

_BACKENDS = "liquid_handling.backends"
MODELS = {
    "ot2": HandlerModel(
        "ot2", "Opentrons OT-2", "resources.opentrons:OTDeck", f"{_BACKENDS}.opentrons_backend:OpentronsOT2Backend"
    )
}
_LOOK_S = 5.0
_NAMED_TRASH = "trash"


class Ot2Family(Family):
    """An OT-2 through PyLabRobot. Its backend ignores the channel it is given and picks a pipette by the volume."""

    has_independent_channels = False

    def _simulator(self) -> Any:
        left, right = self.pipettes.get("left"), self.pipettes.get("right")
        return _recording_ot2()(left_pipette_name=left, right_pipette_name=right, verbose=False)

    def _counted(self, backend: Any) -> Any:
        """Count the calls of the HTTP library, which take the place of a wire."""
        self.n_sent = 0
        backend._ot = _CountedApi(backend._ot, self)
        return backend

    def n_channels(self) -> int:
        """One channel per mount that carries a pipette."""
        return len(self.pipettes)

    def channels(self, mount: str, n_tips: int) -> tuple[int, ...]:
        """The mount itself: 0 is the left one, unless only the right one is there.

        Raises:
            BenchError: more than one channel.
        """
        if n_tips > 1 or channels_of(self.pipettes[mount]) > 1:
            raise BenchError(
                "PyLabRobot drives one channel of an OT-2 only",
                where=self.model.name,
                remedy="plan without eight-channel pipettes, or use the driver nkloop.drivers.opentrons",
            )
        return (0,) if mount == "left" or "left" not in self.pipettes else (1,)

    def excludes(self, one: Sequence[int], other: Sequence[int]) -> bool:
        """Tips on both mounts never go together: the backend would take the larger pipette for a small volume."""
        return True

    def deck(self) -> Any:
        """The OT-2's deck with its fixed trash."""
        return adapter.named(self.model.deck, self.model.name)()

    def place(self, deck: Any, slot: str, resource: Any) -> None:
        """Put a resource into slot 1 to 11.

        Raises:
            BenchError: the slot is one of another robot, or taken.
        """
        try:
            deck.assign_child_at_slot(resource, int(slot))
        except ValueError as error:
            raise BenchError(
                f"slot {slot} cannot be used: {error}", where=self.model.name, remedy="plan for an OT-2: slots 1 to 11"
            ) from error

    def trash(self, deck: Any, n_tips: int) -> list[Any]:
        """The fixed trash in slot 12."""
        return [deck.get_resource(_NAMED_TRASH)] * n_tips

    def tip_rack(self, nickname: str, kind: LabwareType, outline: Outline | None) -> Any:
        """A rack of the maker's tips, from our own copy of its geometry.

        Raises:
            BenchError: it is no rack of the maker.
        """
        if outline is None or outline.tip_overlap is None:
            raise BenchError(
                f"{self.model.title} cannot take the tips of {kind.load_name}",
                where=nickname,
                remedy="use opentrons_96_filtertiprack_20ul or _200ul",
            )
        resources, length, overlap = adapter.part("resources"), outline.depth, outline.tip_overlap

        def make(name: str | None = None) -> Any:
            return adapter.make_tip(
                name,
                length_mm=length,
                overlap_mm=overlap,
                volume_ul=kind.working_volume_ul,
                has_filter="filter" in kind.load_name,
            )

        spots = {}
        for name in kind.wells:
            (x, y), (wide, deep) = outline.centre(name), outline.across
            spot = resources.TipSpot(adapter.child_name(nickname, name), size_x=wide, size_y=deep, make_tip=make)
            spot.location = resources.Coordinate(x - wide / 2, y - deep / 2, outline.bottom)
            spots[name] = spot
        x, y, z = outline.size
        return resources.TipRack(name=nickname, size_x=x, size_y=y, size_z=z, ordered_items=spots, with_tips=True)

    def rack_name(self, load_name: str) -> str | None:
        """The load name itself: tips are built from our own copy of the geometry."""
        return load_name if load_name.startswith("opentrons_96_") else None

    async def look(self) -> tuple[Finding, ...]:
        """Ask for health and pipettes; PyLabRobot itself would create a run only to connect."""
        health, pipettes = await self._asked("/health", "/pipettes")
        found = [Finding(subject="software", found=str(health.get("api_version", "not told")), ok=True)]
        for mount, wanted in self.pipettes.items():
            there = (pipettes.get(mount) or {}).get("name") or "none"
            remedy = f"mount {wanted} or correct the bench file"
            found.append(Finding(subject=f"{mount} pipette", found=str(there), ok=there == wanted, remedy=remedy))
        return tuple(found)

    async def serial_number(self) -> str:
        """Serial number of the robot.

        Raises:
            DeviceUnreachableError: it does not answer.
        """
        (health,) = await self._asked("/health")
        return str(health.get("robot_serial") or "")

    async def _asked(self, *paths: str) -> list[dict[str, Any]]:
        host, port = self.settings.backend_settings.get("host"), self.settings.backend_settings.get("port", 31950)
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=_LOOK_S) as client:
            try:
                return [(await client.get(path, headers={"Opentrons-Version": "*"})).json() for path in paths]
            except httpx.HTTPError as error:
                raise DeviceUnreachableError(
                    f"no answer: {words_of(error)}", where=f"{host}:{port}", remedy="switch the robot on"
                ) from error


@cache
def _recording_ot2() -> Any:
    base = adapter.named(f"{_BACKENDS}.opentrons_chatterbox:OpentronsOT2ChatterboxBackend", "ot2")

    class RecordingOt2(base):  # type: ignore[misc, valid-type]  # PyLabRobot ships no types
        """PyLabRobot's dry run of an OT-2 that still knows after its end what it called things on the robot."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.names: dict[str, str] = {}

        async def stop(self) -> None:
            self.names = {given: name for name, given in self._plr_name_to_load_name.items()}
            await super().stop()

    return RecordingOt2


class _CountedApi:
    """The HTTP library PyLabRobot uses, or its stand-in, with every call counted."""

    def __init__(self, target: Any, family: Ot2Family) -> None:
        self._target, self._family = target, family

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if callable(found) and not isinstance(found, type):

            def counted(*args: Any, **kwargs: Any) -> Any:
                self._family.n_sent = (self._family.n_sent or 0) + 1
                return found(*args, **kwargs)

            return counted
        plain = found is None or isinstance(found, str | int | float | list | dict | tuple)
        return found if plain else _CountedApi(found, self._family)
