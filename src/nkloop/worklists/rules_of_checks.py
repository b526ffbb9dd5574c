"""The rules about the checks themselves and about files; `nkloop.worklists.rules` holds all of them."""

from __future__ import annotations

from nkloop.worklists.rule_model import enter

# -- three ways ------------------------------------------------------------------------------------------------------

ROBOT_REFUSES = enter(
    "V080",
    "robot refuses",
    "Opentrons' analysis refuses the protocol with this worklist",
    "The robot would stop, at best before it moves.",
    "The vendor's own analysis ends with an error.",
    "Follow the message; most often the deck of the worklist and of the robot differ. Labware or an action that the "
    "protocol does not use yet is added to `LABWARE` or `ACTIONS` at the head of `protocols/<procedure>.py` (Flex) and "
    "`protocols/ot2/<procedure>.py` (OT-2), the labware to `labware/catalogue.yaml` too; then list the changed files "
    "with `nkloop protocol update`.",
)
NOT_ANNOUNCED = enter(
    "V081",
    "step not announced",
    "The robot leaves a step out, or does something no step asks for",
    "The journal would follow another work than the robot does.",
    "Commands of the analysis are sorted under the steps the protocol announces.",
    "Use the protocol file of this procedure and a CSV made from this worklist.",
)
ROBOT_DIFFERS = enter(
    "V082",
    "robot differs",
    "The robot would do something else than the step says",
    "Protocol and plan disagree; only one of them was reviewed.",
    "Each pipette command of the analysis is compared with the step: kind, channels, labware, well, and volume within "
    "0.005 µL.",
    "Make the CSV anew from the worklist and use the protocol file of this procedure.",
)
ROBOT_DECK = enter(
    "V083",
    "robot's deck",
    "The robot loads other labware than the worklist puts there",
    "Every position after it would be wrong.",
    "Load commands of the analysis are compared with the deck of the worklist, slot by slot.",
    "Use the protocol file of this procedure and a CSV made from this worklist.",
)
ENDS_DIFFER = enter(
    "V084",
    "end contents differ",
    "The robot's commands leave other contents than the worklist",
    "The plan's composition would not be what stands on the deck.",
    "The commands of the analysis are replayed through the ledger; volumes within 0.1 µL and amounts within 0.2 % must"
    " agree.",
    "See the first differing step; the rest follows from it.",
)
TRACKING_REFUSES = enter(
    "V085",
    "tracking refuses",
    "PyLabRobot's trackers refuse a step",
    "A missing tip, too little liquid or too little room, found without nkloop's own bookkeeping.",
    "The worklist runs on PyLabRobot resources with tip and volume tracking on.",
    "Correct volume, well or tip of this step.",
)
TRACKING_DIFFERS = enter(
    "V086",
    "tracking differs",
    "PyLabRobot and the ledger count different volumes",
    "One of the two checks is wrong; a verdict built on it would be worthless.",
    "After every step the wells it touched are compared, within 0.001 µL.",
    "Report this with the worklist: the checks disagree.",
)
CHECKS_DISAGREE = enter(
    "V087",
    "checks disagree",
    "One check refuses a step that another, which must see the same fault, accepts",
    "A check that is blind to a fault it should see protects nobody.",
    "Faults that ledger and PyLabRobot both see (no tip, a tip twice, no such well, below empty, above the working "
    "volume) must be reported at the same step by both.",
    "Report this with the worklist: the checks disagree.",
)
CHECK_NOT_MADE = enter(
    "V088",
    "check not made",
    "One of the three checks could not be made",
    "Two of three independent looks are not what was promised.",
    "The vendor environment or PyLabRobot ended with an error instead of an answer.",
    "Run `nkloop doctor`, then check again.",
)
# -- files -----------------------------------------------------------------------------------------------------------

CSV_SHAPE = enter(
    "V090",
    "worklist file",
    "The file is not a worklist CSV",
    "A table that a spreadsheet changed (semicolons, dates, lost columns) is not what was planned.",
    "UTF-8, the header of a worklist, and the same number of cells in every line.",
    "Write the worklist anew with `nkloop plan ... --csv`, and edit copies as comma-separated CSV.",
)
CSV_CELL = enter(
    "V091",
    "cell",
    "A cell is empty, unknown or not of its kind",
    "The robot would guess, or stop in the middle.",
    "Every line needs the cells of its record and action, words of the format, numbers without a unit that are finite "
    "and not negative.",
    "Correct the cell the message names.",
)
CSV_ACROSS = enter(
    "V092",
    "lines that contradict",
    "Lines of the worklist contradict each other",
    "Two labware of one name, a mount used twice or steps out of order cannot be carried out as written.",
    "Names, mounts and step numbers are compared across the lines.",
    "Correct the line the message names.",
)
GEOMETRY = enter(
    "V095",
    "labware geometry",
    "A labware definition is not physically possible or not of the schema",
    "The robot computes every movement from it: a wrong well centre breaks tips and plates.",
    "Wells must lie inside the footprint, not overlap, and agree with volume and depth; the Opentrons schema is "
    "checked too.",
    "Correct the definition from the maker's drawing.",
)
