"""What a robot does with a worklist CSV: the one source of the block that stands in every protocol file.

A robot accepts a single Python file, so the text between the two marker lines is copied into each protocol by
`nkloop.worklists.interpreter_block`. It uses the standard library and the Opentrons API only, on Python 3.10 too.
"""

from __future__ import annotations

import csv
import io
from typing import Any, NoReturn

# >>> worklist interpreter: copied from nkloop/worklists/robot_interpreter.py, to be edited there only
# fmt: off
COLUMNS = [
    "record", "step", "action",
    "slot", "name", "load_name", "namespace", "version", "module", "adapter", "temperature_c",
    "labware", "well", "to_labware", "to_well", "volume_ul", "channels", "tip",
    "mix_before", "mix_after", "mix_volume_ul", "flow_factor", "dispense_at", "seconds", "rpm", "comment",
]
# fmt: on

# The tip follows the liquid: it stands this far under the level, never closer to the bottom than the floor.
# The level is taken as a share of what straight walls would give, because tubes are narrower at the bottom and
# wider at the brim than their definition says; drawing air is worse than standing deep.
LEVEL_SHARE = 0.8
IMMERSION_MM = 2.0
FLOOR_MM = 1.0


def refuse(line: int, column: str, what: str, remedy: str) -> NoReturn:
    """Stop before anything moves, with a sentence that says where and what to do."""
    raise ValueError(f"worklist line {line}, column {column}: {what}. Remedy: {remedy}")


def read_worklist(text: str) -> list[dict[str, Any]]:
    """Lines of the CSV as dictionaries; `line` is the line number a spreadsheet shows."""
    rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff"), newline="")))
    if not rows or rows[0] != COLUMNS:
        refuse(1, "record", "the header is not that of a worklist", "save the file as comma-separated CSV, unchanged")
    records = []
    for line, cells in enumerate(rows[1:], start=2):
        if not any(cells):
            continue
        if len(cells) != len(COLUMNS):
            refuse(line, "record", f"{len(cells)} cells instead of {len(COLUMNS)}", "write the worklist anew")
        records.append({"line": line, **dict(zip(COLUMNS, (cell.strip() for cell in cells), strict=True))})
        if records[-1]["record"] not in ("trash", "pipette", "labware", "liquid", "step"):
            refuse(line, "record", f"'{cells[0]}' is not known", "use trash, pipette, labware, liquid or step")
    return records


def number(record: dict[str, Any], column: str, default: float = 0.0) -> float:
    """A finite number of at least 0; an empty cell gives the default."""
    text = record[column]
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        refuse(record["line"], column, f"'{text}' is not a number of at least 0", "write a number such as 12.5")
    return value


class WorklistPlayer:
    """Loads the deck of a worklist, checks every step, then plays it."""

    def __init__(self, protocol: Any, text: str, actions: tuple[str, ...], labware: dict[str, str], trash: str) -> None:
        """`actions` and `labware` (load name to its use) are all this procedure may contain.

        `trash` is the slot of the trash bin when the worklist names none; it stays empty on an OT-2, whose trash is
        fixed.
        """
        self.protocol = protocol
        self.usual_trash = trash
        self.actions = actions
        self.expected = labware
        self.records = read_worklist(text)
        self.steps = [record for record in self.records if record["record"] == "step"]
        self.pipettes: dict[str, Any] = {}
        self.labware: dict[str, Any] = {}
        self.modules: dict[str, Any] = {}
        self.module_of: dict[str, Any] = {}
        self.heated: list[Any] = []
        self.levels: dict[tuple[str, str], float] = {}
        self.holds: dict[str, str] = {}
        self.nozzles: dict[str, int] = {}

    def run(self) -> None:
        """Load, check, play. Nothing moves before every line has been checked."""
        self.load_deck()
        self.load_liquids()
        self.check_steps()
        self.await_temperatures()
        for record in self.steps:
            self.play(record)
        self.drop_tips()
        for module in self.heated:
            module.deactivate_heater()
        self.move_latches("open_labware_latch")

    # -- the deck ---------------------------------------------------------------------------------------------

    def load_deck(self) -> None:
        """Trash bin, pipettes, and each labware with the module and adapter under it."""
        self.load_trash()
        for record in self.records:
            if record["record"] == "pipette":
                self.pipettes[record["slot"]] = self.protocol.load_instrument(record["load_name"], record["slot"])
            elif record["record"] == "labware":
                self.load_labware(record)

    def load_trash(self) -> None:
        """The trash bin where the worklist says, else where it usually stands; an OT-2 has its own."""
        told = [record for record in self.records if record["record"] == "trash"]
        if told and not self.usual_trash:
            refuse(told[0]["line"], "record", "the trash of an OT-2 is fixed", "take the trash line out")
        slot = told[0]["slot"] if told else self.usual_trash
        if slot:
            try:
                self.protocol.load_trash_bin(slot)
            except Exception as error:  # noqa: BLE001 - whatever the robot says is told with the line it is about
                line = told[0]["line"] if told else 1
                refuse(line, "slot", f"no trash bin can stand in '{slot}' ({error})", "use A1 to D1 or A3 to D3")

    def load_labware(self, record: dict[str, Any]) -> None:
        """One labware, and the set point of the module under it."""
        line, name, load_name = record["line"], record["name"], record["load_name"]
        if load_name not in self.expected:
            told = f"this protocol does not use {load_name}"
            refuse(line, "load_name", told, self.advice("LABWARE", self.of_its_kind(load_name)))
        if name in self.labware:
            refuse(line, "name", f"two labware are called {name}", "give each its own name")
        try:
            place = self.place(record)
            self.labware[name] = place.load_labware(
                load_name,
                label=record["comment"] or name,
                namespace=record["namespace"] or "opentrons",
                version=int(record["version"] or 1),
            )
        except Exception as error:  # noqa: BLE001 - whatever the robot says is told with the line it is about
            refuse(
                line,
                "load_name",
                f"{load_name} cannot stand in {record['slot']} ({error})",
                "check slot and module, and import the labware file in the Opentrons App when it is not a standard one",
            )

    def of_its_kind(self, load_name: str) -> list[str]:
        """Labware of the protocol that can stand for another one: plates for a plate; all for a name of no kind."""
        kind = next((word for word in ("tiprack", "tuberack", "reservoir", "plate") if word in load_name), "")
        return [known for known in self.expected if kind in known]

    def advice(self, table: str, known: list[str] | tuple[str, ...]) -> str:
        """What to do about a labware or an action the head of this protocol does not allow."""
        use = f"use {', '.join(known)}; or " if known else ""
        return f"{use}add it to {table} at the head of this protocol and have the file reviewed"

    def place(self, record: dict[str, Any]) -> Any:
        """What the labware stands on: slot, module or adapter."""
        slot = record["slot"]
        place = _Slot(self.protocol, slot)
        if record["module"]:
            if slot not in self.modules:
                self.modules[slot] = self.protocol.load_module(record["module"], slot)
                self.start_module(self.modules[slot], record)
            place = self.module_of[record["name"]] = self.modules[slot]
        if record["adapter"]:
            place = place.load_adapter(record["adapter"])
        return place

    def start_module(self, module: Any, record: dict[str, Any]) -> None:
        """Close a latch, start heating or cooling; the wait comes when the whole deck is loaded."""
        if hasattr(module, "close_labware_latch"):
            module.close_labware_latch()
        if record["temperature_c"]:
            target = number(record, "temperature_c")
            if hasattr(module, "start_set_temperature"):
                module.start_set_temperature(target)  # stays cold after the run, until the tubes are taken away
            else:
                module.set_target_temperature(target)
                self.heated.append(module)

    def await_temperatures(self) -> None:
        """Wait until every module with a set point has reached it."""
        for record in self.records:
            module = self.module_of.get(record["name"]) if record["record"] == "labware" else None
            if module is not None and record["temperature_c"]:
                if hasattr(module, "await_temperature"):
                    module.await_temperature(number(record, "temperature_c"))
                else:
                    module.wait_for_temperature()

    def load_liquids(self) -> None:
        """Show on the screen what has to be in which well, and remember the volumes for the tip height."""
        colours = ("#50C878", "#4F81BD", "#C0504D", "#F0A030", "#8064A2", "#4BACC6", "#9BBB59", "#7F7F7F")
        liquids: dict[str, Any] = {}
        for record in self.records:
            if record["record"] != "liquid":
                continue
            name, volume = record["name"], number(record, "volume_ul")
            well = self.well(record, "labware", "well")
            if name not in liquids:
                colour = colours[len(liquids) % len(colours)]
                liquids[name] = self.protocol.define_liquid(name, description=name, display_color=colour)
            well.load_liquid(liquids[name], volume)
            key = (record["labware"], record["well"])
            self.levels[key] = self.levels.get(key, 0.0) + volume

    # -- checking ---------------------------------------------------------------------------------------------

    def check_steps(self) -> None:
        """Go through all steps as they will be played, without moving."""
        used: set[str] = set()
        capacity: dict[str, float] = {}
        tips: dict[str, int] = {}
        last = 0.0
        for record in self.steps:
            line, action = record["line"], record["action"]
            step = number(record, "step")
            if step <= last or step != int(step):
                refuse(line, "step", f"step {record['step']} after step {last:g}", "number the steps 1, 2, 3 and so on")
            last = step
            if action not in self.actions:
                refuse(line, "action", f"this protocol has no action '{action}'", self.advice("ACTIONS", self.actions))
            if action in ("transfer", "mix"):
                self.check_tip(record, used, capacity, tips)
                self.check_liquid_step(record, capacity)
            elif action == "pause":
                if not record["comment"]:
                    refuse(line, "comment", "a pause without an instruction", "write what the operator has to do")
                capacity.clear()
            elif action == "shake":
                self.check_shake(record)

    def check_tip(
        self, record: dict[str, Any], used: set[str], capacity: dict[str, float], tips: dict[str, int]
    ) -> None:
        """The tip exists, is a tip, and is fresh; without one, the pipette must hold as many as channels already."""
        line, tip, channels = record["line"], record["tip"], int(number(record, "channels", 1))
        mount = self.mount(record)
        if not tip:
            if mount not in capacity:
                refuse(line, "tip", "the pipette holds no tip here", "write a tip such as tips_200:A1")
            if tips[mount] != channels:
                refuse(line, "channels", f"the pipette holds {tips[mount]} tips here", "take as many as channels")
            return
        rack, _, well = tip.partition(":")
        if rack not in self.labware or not self.labware[rack].is_tiprack:
            refuse(line, "tip", f"'{tip}' is not on a loaded tip rack", "write <name of a tip rack>:<well>")
        for place in self.reached(record, "tip", self.labware[rack], well):
            if f"{rack}:{place}" in used:
                refuse(line, "tip", f"tip {rack}:{place} has been used before", "take the next fresh tip")
            used.add(f"{rack}:{place}")
        tips[mount] = channels
        capacity[mount] = min(self.labware[rack][well].max_volume, self.pipettes[mount].max_volume)

    def mount(self, record: dict[str, Any]) -> str:
        """Mount of a step's pipette: the one named, or the first that has so many channels."""
        channels, named = int(number(record, "channels", 1)), record["slot"]
        wanted = 1 if channels == 1 else 8
        for mount, pipette in self.pipettes.items():
            is_meant = mount == named or (not named and pipette.channels == wanted)
            if is_meant and 1 <= channels <= pipette.channels:
                return mount
        refuse(record["line"], "channels", f"no pipette with {channels} channels is loaded", "add its pipette line")

    def check_liquid_step(self, record: dict[str, Any], capacity: dict[str, float]) -> None:
        """Wells exist, and the volumes are within what pipette and tip can do."""
        line, mount = record["line"], self.mount(record)
        self.well(record, "labware", "well")
        self.reached(record, "well", self.labware[record["labware"]], record["well"])
        if record["action"] == "transfer":
            self.well(record, "to_labware", "to_well")
            self.reached(record, "to_well", self.labware[record["to_labware"]], record["to_well"])
        lowest, highest = self.pipettes[mount].min_volume, capacity[mount]
        mixes = number(record, "mix_before") + number(record, "mix_after")
        if record["action"] == "mix" and mixes == 0:
            refuse(line, "mix_before", "a mix without repetitions", "write how many times")
        columns = ["volume_ul"] + (["mix_volume_ul"] if mixes and record["action"] == "transfer" else [])
        for column in columns:
            volume = number(record, column)
            if not lowest <= volume <= highest:
                refuse(
                    line,
                    column,
                    f"{volume:g} µL is outside {lowest:g} to {highest:g} µL of this pipette and tip",
                    "split the transfer, take another tip or a pre-dilution",
                )
        if record["dispense_at"] not in ("", "level", "rim"):
            refuse(line, "dispense_at", f"'{record['dispense_at']}' is not a height", "use level or rim")
        if record["dispense_at"] == "rim" and number(record, "mix_after"):
            refuse(line, "dispense_at", "a dispense from the rim cannot mix the target", "use level, or mix later")
        if not 0 < number(record, "flow_factor", 1) <= 2:
            refuse(line, "flow_factor", f"{record['flow_factor']} is outside 0 to 2", "use 1, or 0.3 for cells")

    def check_shake(self, record: dict[str, Any]) -> None:
        """The labware stands on a shaker that can do the speed."""
        module = self.module_of.get(record["labware"])
        if not hasattr(module, "set_and_wait_for_shake_speed"):
            refuse(
                record["line"],
                "labware",
                f"'{record['labware']}' is not on a heater-shaker",
                "load it on heaterShakerModuleV1",
            )
        if not 200 <= number(record, "rpm") <= 3000:
            refuse(record["line"], "rpm", f"{record['rpm']} rpm is outside 200 to 3000", "choose a speed between them")

    def well(self, record: dict[str, Any], labware: str, well: str) -> Any:
        """The well two columns name."""
        if record[labware] not in self.labware:
            refuse(record["line"], labware, f"no labware is called '{record[labware]}'", "add its labware line")
        wells = self.labware[record[labware]].wells_by_name()
        if record[well] not in wells:
            refuse(record["line"], well, f"{record[labware]} has no well '{record[well]}'", "use A1, B1 and so on")
        return wells[record[well]]

    def reached(self, record: dict[str, Any], column: str, labware: Any, well: str) -> list[str]:
        """Wells the channels stand in, 9 mm apart from the named one down, or one trough as often as channels."""
        if well not in labware.wells_by_name():
            refuse(record["line"], column, f"there is no well '{well}'", "use A1, B1 and so on")
        channels = int(number(record, "channels", 1))
        if channels == 1:
            return [well]
        rows = len(labware.rows())
        if rows == 1:
            return [well] * channels
        names = [place.well_name for place in labware.columns_by_name()[well[1:]]]
        there = names[names.index(well) :: max(1, rows // 8)][:channels]
        if rows not in (8, 16) or len(there) < channels:
            refuse(
                record["line"],
                column,
                f"{channels} channels do not fit {well} of {rows} rows",
                "use a labware of eight rows and a row with enough rows below it, or one channel",
            )
        return there

    # -- playing ----------------------------------------------------------------------------------------------

    def play(self, record: dict[str, Any]) -> None:
        """Announce a step with its number, then do it."""
        self.protocol.comment(f"step {record['step']}: {record['comment'] or self.sentence(record)}")
        getattr(self, record["action"])(record)

    def sentence(self, record: dict[str, Any]) -> str:
        """A step in words, for lines without a comment."""
        source, volume = f"{record['labware']} {record['well']}", f"{number(record, 'volume_ul'):g} µL"
        if record["action"] == "transfer":
            return f"{volume} from {source} to {record['to_labware']} {record['to_well']}"
        if record["action"] == "mix":
            return f"mix {source} with {volume}"
        if record["action"] == "shake":
            return f"shake {record['labware']} at {record['rpm']} rpm for {record['seconds']} s"
        return f"{record['action']} {record['seconds']}".strip()

    def transfer(self, record: dict[str, Any]) -> None:
        """Mix the source if asked, aspirate once, dispense once, mix the destination if asked."""
        pipette = self.hold_tip(record)
        volume, rate = number(record, "volume_ul"), number(record, "flow_factor", 1)
        source, target = self.steered(record, "labware", "well"), self.steered(record, "to_labware", "to_well")
        self.mix_at(pipette, record, "mix_before", source, "labware", "well")
        self.change_level(record, "labware", "well", -volume)
        pipette.aspirate(volume, source.bottom(self.under_level(record, "labware", "well")), rate=rate)
        at_rim = record["dispense_at"] == "rim"
        place = target.top() if at_rim else target.bottom(self.at_level(record, "to_labware", "to_well"))
        pipette.dispense(volume, place, rate=rate)
        self.change_level(record, "to_labware", "to_well", volume)
        self.mix_at(pipette, record, "mix_after", target, "to_labware", "to_well")

    def steered(self, record: dict[str, Any], labware: str, well: str) -> Any:
        """The well a pipette is sent to: the named one, or that of the lowest channel when some nozzles are idle."""
        place, names = (
            self.labware[record[labware]],
            self.reached(record, well, self.labware[record[labware]], record[well]),
        )
        idle = int(number(record, "channels", 1)) < self.pipettes[self.mount(record)].channels
        return place[names[-1] if idle else names[0]]

    def mix_at(self, pipette: Any, record: dict[str, Any], times: str, well: Any, labware: str, name: str) -> None:
        """Draw and return the mixing volume, low enough that no air is drawn."""
        repetitions, volume = int(number(record, times)), number(record, "mix_volume_ul")
        if repetitions:
            height = self.under_level(record, labware, name, volume)
            pipette.mix(repetitions, volume, well.bottom(height), rate=number(record, "flow_factor", 1))

    def mix(self, record: dict[str, Any]) -> None:
        """Mix one well; the repetitions are mix_before and mix_after together."""
        pipette, volume = self.hold_tip(record), number(record, "volume_ul")
        repetitions = int(number(record, "mix_before") + number(record, "mix_after"))
        height = self.under_level(record, "labware", "well", volume)
        well = self.steered(record, "labware", "well")
        pipette.mix(repetitions, volume, well.bottom(height), rate=number(record, "flow_factor", 1))

    def pause(self, record: dict[str, Any]) -> None:
        """Drop the tips, free the plates on shakers, wait for a person."""
        self.drop_tips()
        self.move_latches("open_labware_latch")
        self.protocol.pause(f"step {record['step']}: {record['comment']}")
        self.move_latches("close_labware_latch")

    def shake(self, record: dict[str, Any]) -> None:
        """Shake the labware on its heater-shaker for the seconds given."""
        module = self.module_of[record["labware"]]
        module.set_and_wait_for_shake_speed(int(number(record, "rpm")))
        self.protocol.delay(seconds=number(record, "seconds"))
        module.deactivate_shaker()

    def delay(self, record: dict[str, Any]) -> None:
        """Wait for the seconds given."""
        self.protocol.delay(seconds=number(record, "seconds"))

    def move_latches(self, move: str) -> None:
        """Open or close the latch of every heater-shaker."""
        for module in self.modules.values():
            if hasattr(module, move):
                getattr(module, move)()

    def hold_tip(self, record: dict[str, Any]) -> Any:
        """The pipette of the step with its tips: new ones when the line names one, else those it holds."""
        mount, channels = self.mount(record), int(number(record, "channels", 1))
        pipette = self.pipettes[mount]
        if record["tip"]:
            if mount in self.holds:
                pipette.drop_tip()
            self.choose_nozzles(mount, channels)
            rack, _, well = record["tip"].partition(":")
            names = self.reached(record, "tip", self.labware[rack], well)
            pipette.pick_up_tip(self.labware[rack][names[-1] if channels < pipette.channels else names[0]])
            self.holds[mount] = record["tip"]
        return pipette

    def choose_nozzles(self, mount: str, channels: int) -> None:
        """All nozzles, or as many at the front of an eight-channel pipette; its other nozzles stay empty."""
        pipette = self.pipettes[mount]
        if channels == self.nozzles.get(mount, pipette.channels):
            return
        from opentrons.protocol_api import ALL, PARTIAL_COLUMN, SINGLE

        if channels == pipette.channels:
            pipette.configure_nozzle_layout(style=ALL)
        elif channels == 1:
            pipette.configure_nozzle_layout(style=SINGLE, start="H1")
        else:
            pipette.configure_nozzle_layout(style=PARTIAL_COLUMN, start="H1", end=f"{'ABCDEFGH'[8 - channels]}1")
        self.nozzles[mount] = channels

    def drop_tips(self) -> None:
        """Throw away every tip a pipette holds."""
        for mount in list(self.holds):
            self.pipettes[mount].drop_tip()
            del self.holds[mount]

    def change_level(self, record: dict[str, Any], labware: str, well: str, volume: float) -> None:
        """Book what each channel takes or gives."""
        for place in self.reached(record, well, self.labware[record[labware]], record[well]):
            key = (record[labware], place)
            self.levels[key] = max(0.0, self.levels.get(key, 0.0) + volume)

    def at_level(self, record: dict[str, Any], labware: str, well: str, without: float = 0.0) -> float:
        """Height in mm of the lowest liquid under the channels, when each has drawn `without` µL from it."""
        place = self.well(record, labware, well)
        places = self.reached(record, well, self.labware[record[labware]], record[well])
        drawn = without * places.count(places[0])
        volume = max(0.0, min(self.levels.get((record[labware], name), 0.0) for name in places) - drawn)
        return max(FLOOR_MM, float(place.depth * min(1.0, volume / place.max_volume) * LEVEL_SHARE))

    def under_level(self, record: dict[str, Any], labware: str, well: str, without: float = 0.0) -> float:
        """Height at which the tip draws from the well, in mm."""
        return max(FLOOR_MM, self.at_level(record, labware, well, without) - IMMERSION_MM)


class _Slot:
    """A bare slot that loads like a module does."""

    def __init__(self, protocol: Any, slot: str) -> None:
        self.protocol, self.slot = protocol, slot

    def load_labware(self, load_name: str, **details: Any) -> Any:
        return self.protocol.load_labware(load_name, self.slot, **details)

    def load_adapter(self, load_name: str) -> Any:
        return self.protocol.load_adapter(load_name, self.slot)


# <<< worklist interpreter
