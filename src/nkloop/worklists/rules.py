"""The rules every worklist is held to: id, what each protects, how a breach is found and what to do about it.

This is the one source: `nkloop check --explain`, the pages under `docs/reference/rules/` and the ids that problems
carry all come from here. Ids are never given to another rule.
"""

from __future__ import annotations

from nkloop.worklists import rules_of_checks as _checks
from nkloop.worklists.rule_model import ENTERED, Rule, enter

# -- volumes ---------------------------------------------------------------------------------------------------------

OVERFILL = enter(
    "V001",
    "overfill",
    "A well is filled above its working volume",
    "Liquid that stands too high spills when the plate is moved, wets the lid and crosses into the next well.",
    "The ledger adds every filling and every dispense; the bound is the working volume of the labware file, which is "
    "below the brim.",
    "Give less, split the transfer over more wells, or use a larger well.",
)
OVERDRAW = enter(
    "V002",
    "overdraw",
    "A well is drawn below its dead volume",
    "The last transfers take air: doses come out short without any error of the robot, because its software does not "
    "count what is in a well.",
    "The ledger subtracts every aspirate and every mix; what is left must not fall below the dead volume of the "
    "labware file.",
    "Fill more into the source, draw less, or use a tube with a smaller dead volume.",
)
BELOW_MINIMUM = enter(
    "V003",
    "pipette range",
    "A transfer is below the reliable minimum of the pipette",
    "Below its minimum a pipette's random and systematic error grow beyond what a dose may be off.",
    "The volume of a transfer is compared with `min_volume_ul` of the pipette in the bench file.",
    "Dilute the stock first and transfer more, or use a smaller pipette.",
)
ABOVE_CAPACITY = enter(
    "V004",
    "tip capacity",
    "A volume is more than the tip or the pipette takes",
    "An overfilled tip wets the filter or the nozzle, and part of the liquid stays there.",
    "Each aspirate, dispense and mix is compared with the working volume of the tip held and the range of the pipette.",
    "Split the volume into several transfers or take a larger tip.",
)
NOT_FINITE = enter(
    "V005",
    "volume",
    "A volume, time or speed is not a finite number above 0",
    "Not-a-number and infinite volumes pass comparisons and arithmetic unseen; PyLabRobot accepts them.",
    "Every number of every step and filling is tested for being finite, and volumes of transfers for being above 0.",
    "Correct the number in the worklist.",
)
NO_SUCH_WELL = enter(
    "V006",
    "well exists",
    "A well does not exist or cannot be reached with these channels",
    "The robot would move to a place that is not there, or eight channels would miss the labware's rows.",
    "Well names are looked up in the grid of the labware, eight channels need a whole column or a trough.",
    "Correct the well, or use the single channel.",
)
# -- tips ------------------------------------------------------------------------------------------------------------

TIP_USED_TWICE = enter(
    "V010",
    "tip used twice",
    "A tip position is picked up a second time",
    "The position is empty or holds a used tip that was returned: the robot stops, or carries the first liquid over.",
    "The ledger remembers every tip position picked up during the run.",
    "Take a tip that is still in the rack.",
)
NO_TIP = enter(
    "V011",
    "tip attached",
    "The pipette has no tip when it needs one",
    "Without a tip the nozzle goes into the liquid.",
    "After the start and after every pause the pipettes hold no tip; the next transfer must pick one up.",
    "Name a tip in the step.",
)
CARRY_OVER = enter(
    "V012",
    "tip carry-over",
    "A used tip brings a component into a well that is drawn from and does not hold it",
    "What clings to the tip is given to every well the source still serves: an arm without a cytokine gets some of it.",
    "The ledger knows every component a tip has touched. When the tip enters a well that holds liquid without one of "
    "them, it would be contaminated.",
    "Take a new tip for this step.",
)
STOCK_TOUCHED = enter(
    "V013",
    "used tip in a stock",
    "A used tip enters a stock of the inventory",
    "The stock is used again in later runs: one wet tip contaminates every batch after it.",
    "As V012, for a well that was filled from a lot of the inventory; a tip that has drawn of another lot of the same "
    "component must not enter it either.",
    "Take a new tip before every draw from a stock.",
)
STOCK_RECEIVES = enter(
    "V014",
    "contamination of a stock",
    "A foreign liquid is dispensed into a stock of the inventory",
    "The stock changes its concentration and its identity, for this run and for every later one.",
    "A dispense into a well that was filled from a lot of the inventory may bring only components that lot holds, and "
    "nothing of another lot.",
    "Dispense into another well; prepare dilutions in their own tubes.",
)
NO_SUCH_TIP = enter(
    "V015",
    "tip is there",
    "A tip is named that no rack on the deck holds",
    "The robot would press its nozzle on an empty place or on a plate.",
    "The rack of the tip must be on the deck and be a tip rack, and the position must be one of its wells.",
    "Put the rack on the deck, or name a tip of a rack that is there.",
)
# -- deck ------------------------------------------------------------------------------------------------------------

LABWARE_MISSING = enter(
    "V020",
    "labware missing",
    "A step or filling names labware that is not on the deck",
    "The robot would have nowhere to go, or a person would load a liquid nowhere.",
    "Every nickname of fillings, steps and targets must be an item of the deck.",
    "Put the labware on the deck or correct the name.",
)
LABWARE_UNKNOWN = enter(
    "V021",
    "labware unknown",
    "A labware has no entry in the catalogue",
    "Without a geometry nobody knows where its wells are, how much they hold, and how much stays behind.",
    "The load name is looked up in `labware/catalogue.yaml`.",
    "Use a labware of the catalogue, or add it with its definition and provenance.",
)
LABWARE_WRONG = enter(
    "V022",
    "labware wrong",
    "A labware cannot be what the step or filling uses it for",
    "A tip rack in the place of a plate, or a flat plate on the cold block, makes the robot crash or the stocks warm.",
    "Liquid may stand in plates, tubes and troughs only, tips are taken from tip racks only; a tip must fit its rack's"
    " size.",
    "Correct the load name or the slot of the labware.",
)
SLOT_TAKEN = enter(
    "V023",
    "slot conflict",
    "Two labware stand in one slot, or one stands on the trash",
    "Only one of them can be loaded; the robot would pipette into the other.",
    "Slots of the deck are counted (on an OT-2 `4` is `C1`) and compared with the trash of the bench file.",
    "Give each labware its own free slot.",
)
MODULE_MISSING = enter(
    "V024",
    "module missing",
    "A module is asked for that the bench does not have there, or a module's slot is used without it",
    "A shake that does not happen and a block that is not cold are not seen in the result until it is too late.",
    "Module and slot of every deck item are compared with the modules of the bench file.",
    "Use a slot that has the module, or another bench.",
)
NAME_TWICE = enter(
    "V025",
    "names",
    "Two labware carry the same nickname",
    "A step would not say which of the two it means.",
    "Nicknames of the deck must be unique.",
    "Give every labware its own nickname.",
)
PIPETTE_MISSING = enter(
    "V026",
    "pipette missing",
    "A pipette is used that is not on the robot",
    "The robot refuses at the start, or a plan made for other volumes runs with the wrong pipette.",
    "Mount and load name are compared with the bench file; a step's channels must belong to a pipette of the worklist.",
    "Plan with the bench's pipettes.",
)
# -- order -----------------------------------------------------------------------------------------------------------

STEP_NUMBERS = enter(
    "V030",
    "step numbers",
    "Steps are not numbered one after the other from 1",
    "Journal, robot and run sheet find a step by its number: a number twice or left out loses what happened to it.",
    "The number of each step is compared with its place.",
    "Number the steps from 1 in the order they are played.",
)
PAUSE_UNNAMED = enter(
    "V031",
    "unnamed pause",
    "A pause does not say what is to be done",
    "A person in front of a waiting robot presses resume without doing what the plan counted on.",
    "The instruction of a pause must hold words.",
    "Write what the person does, with what, and for how long.",
)
CELLS_AFTER_LYSIS = enter(
    "V032",
    "cells after lysis",
    "Cells are dispensed into a well that already holds lysis buffer",
    "The cells burst at once: contact time, spontaneous and maximum release lose their meaning.",
    "Liquids whose name says `lysis` mark every well they reach; cells may not arrive there. Order in a cytotoxicity "
    "assay: medium, effectors, targets, incubation, lysis buffer.",
    "Put the lysis buffer after the cells.",
)
STOP_BEFORE_SUBSTRATE = enter(
    "V033",
    "stop before substrate",
    "Stop solution stands in a well before its substrate or sample",
    "The reaction is stopped before it began, and the well reads as if no cell had died.",
    "Liquids whose names say `substrate` and `stop` mark their wells. Order of the read-out: substrate and "
    "supernatant, dark incubation, stop solution.",
    "Put the stop solution last.",
)
ADDITIVE_FIRST = enter(
    "V034",
    "additive before base",
    "A cold stock is dispensed into an empty destination",
    "A few µL on dry plastic stick to the wall and are not found again at pg/mL; base medium goes first, then serum "
    "and additives, then the final mix.",
    "A stock that stands on the cold block may arrive in a well with a target only when liquid is there.",
    "Put the base medium before the additives.",
)
CELLS_INTO_DRY = enter(
    "V035",
    "cells into a dry well",
    "Cells are seeded into an empty culture well",
    "A concentrated suspension without its medium settles in one spot and dries while the rest is pipetted.",
    "Cells of a donor tube that arrive in an empty well of a plate with a barcode.",
    "Give the warm medium first, then the cells.",
    "warns",
)
WRONG_PROCEDURE = enter(
    "V036",
    "wrong procedure",
    "The file is named after a procedure its contents do not belong to",
    "The robot would play a killing assay with the protocol of a medium, with its checks and its pauses.",
    "Each procedure has labware of its own: `medium` for medium_preparation, `culture`, `arms` or `doses` for "
    "cytokine_dosing, `assay` for cytotoxicity_assay. Another procedure's labware, or none of its own, refuses the "
    "file.",
    "Rename the file after the procedure it was planned for.",
)
PAUSE_MISSING = enter(
    "V037",
    "pause missing",
    "An incubation or centrifugation is left out",
    "Lysis buffer on cells that never met their targets, cells in the supernatant, or a colour stopped before it came:"
    " the plate reads, and the numbers mean nothing.",
    "Lysis buffer may reach a plate only after a rest since its last cells, supernatant only after a centrifugation "
    "since the last addition, stop solution only after a rest since the substrate.",
    "Put the pause back.",
)
# -- mixing and cells ------------------------------------------------------------------------------------------------

CELLS_NOT_MIXED = enter(
    "V040",
    "cells not mixed",
    "Cells are drawn from a well that was not mixed just before",
    "Cells settle within minutes: the first wells get too few and the last too many, or the reverse.",
    "A well that holds cells must be mixed in the step that draws from it, or in one of the 8 steps before (about 2 "
    "minutes of pipetting, the re-suspension interval of the assay). Removing settled supernatant into waste, and "
    "drawing after a centrifugation or incubation, are meant and allowed.",
    "Let the step mix before it draws.",
)
UNEVEN = enter(
    "V041",
    "mixing missing",
    "A well is drawn from that was added to and not mixed since",
    "An unmixed dilution gives anything between the stock and the diluent: a dose off by orders of magnitude.",
    "A well that holds liquid and receives another composition must be mixed before anything is drawn from it.",
    "Mix after the addition, or before the draw.",
)
CELLS_TOO_FAST = enter(
    "V042",
    "flow for cells",
    "Cells are drawn at more than half the pipette's default flow",
    "Shear and foam lower viability, and foam makes volumes short.",
    "`flow_factor` of a step that draws from a well with cells must be at most 0.5.",
    "Lower the flow factor to 0.4.",
)
DONORS_MIXED = enter(
    "V043",
    "donors mixed",
    "Cells of two donors or samples meet in one well",
    "Allogeneic cells in one culture or one well belong to nobody: the batch cannot be traced and the result not "
    "assigned.",
    "Keys of effector cells and donor cells are followed; a well may hold one donor unit and one effector sample.",
    "Correct the source or destination well of this step.",
)
CELLS_COLD = enter(
    "V044",
    "cells on the cold block",
    "Cells stand on labware that is held below 15 °C",
    "Cold cells clump and lose killing within the hour; they are taken to the deck at room temperature.",
    "The set point of the labware that a filling with cells stands in.",
    "Put the cells in a rack without cooling.",
)
# -- lots ------------------------------------------------------------------------------------------------------------

LOT_EXPIRED = enter(
    "V050",
    "lot expired",
    "A lot expires before the end of use",
    "A medium is used for days after it was made: a lot must be valid until the last of them, not only today.",
    "The expiry of every lot on deck, as written into the worklist, is compared with `use_until` of the worklist.",
    "Take another lot, or shorten the use.",
)
LOT_UNKNOWN = enter(
    "V051",
    "lot unknown",
    "A liquid carries a lot that the worklist does not list",
    "Expiry and amount of that lot were never looked up.",
    "Every lot of a filling that comes from the inventory must stand among the lots of the worklist, when it lists "
    "any.",
    "Plan again with the present lot list.",
)
LOT_SHORT = enter(
    "V052",
    "lot too small",
    "More of a lot is put on deck than it holds",
    "The technician finds out in front of the fridge, after the other liquids are warm.",
    "Fillings per lot are added and compared with what the inventory held when the worklist was planned.",
    "Plan with another lot or a smaller run.",
)
OFF_THE_COLD = enter(
    "V053",
    "kept cold",
    "A liquid that must be kept cold stands on labware that is not cooled",
    "Cytokines lose activity at room temperature over the length of a run.",
    "A lot that the worklist marks `keep_cold` must stand on labware held at 8 °C or below when the bench has a "
    "temperature module; volumes too large for its tubes are exempt.",
    "Put the tube on the cold block.",
)
LIGHT = enter(
    "V054",
    "light",
    "A light-sensitive liquid stands open on the deck for too long",
    "Photodegradation lowers the dose, or raises the background of a substrate, without a trace.",
    "For a lot that the worklist marks `light_sensitive`: from the start of the run, or the end of the `thaw`, `warm` "
    "or `equilibrate` step that brings it, to its last use; where it was given to, until an `incubate` or `store` step "
    "takes that away. Robot time and people's tasks together, against `light_minutes` of the worklist (30 min, a "
    "working value).",
    "Use an amber tube or cover it, or bring it to the deck at a pause before it is used; dim the enclosure light.",
    "warns",
)
# -- what comes out --------------------------------------------------------------------------------------------------

OFF_TARGET = enter(
    "V060",
    "off target",
    "A well does not end at its target concentration",
    "The medium or dose is not the one the recipe asks for.",
    "The ledger's end contents are compared with the targets of the worklist, each with its tolerance.",
    "Correct the transfers into this well.",
)
UNEXPECTED = enter(
    "V061",
    "unexpected component",
    "A well with targets ends with a component that only other wells shall hold",
    "An arm that is to lack a cytokine, or to hold one donor's cells only, got some by mistake.",
    "Components that are a target somewhere and not in this well may not be in it, above a millionth of their lowest "
    "target.",
    "Find the transfer that brings it, the message names the component.",
)
UNEVEN_PLATE = enter(
    "V063",
    "volumes of a plate",
    "Wells of one plate that hold the same kinds of liquid end with different volumes",
    "Absorbance grows with the height of the liquid and release with its volume: one short well reads as another "
    "result.",
    "On plates with a barcode in a cytotoxicity assay, wells with the same kinds of liquid (cells, lysis buffer, "
    "substrate, stop solution) must end within 2 % of their median volume. Wells without a planned end volume, such as "
    "those that somebody has discarded, are left out.",
    "Correct the volume or the well of the transfer that makes the difference.",
)
END_VOLUME = enter(
    "V064",
    "end volume",
    "A well of a vessel that outlives the run ends with another volume than planned",
    "A culture well with half its medium starves, one with double its cells overgrows, and neither shows in the "
    "concentrations.",
    "The planner writes what every well of a vessel with a barcode shall hold into the worklist; the ledger's end "
    "volumes must agree within 1 µL or 1 %.",
    "Correct the volume or the well of the transfer that makes the difference.",
)
VESSEL_RANGE = enter(
    "V065",
    "closed vessel's range",
    "A closed vessel is filled above its capacity, left below its least volume, or drained of what cannot come out",
    "A bag that is too full tears at its weld or stops breathing; a culture that is too shallow dries, and a "
    "bioreactor below its least volume does not mix.",
    "The volumes people move (`moves` of their steps) are followed through every vessel of the worklist, against the "
    "range of `labware/bags.yaml`. The least volume is that of a culture, so it holds for what a vessel ends with, one "
    "that is emptied for good apart; while medium is exchanged it holds less, down to what cannot be drained. What a "
    "dose tube gives must be in the tube.",
    "Move another volume, or choose a larger or smaller vessel.",
)
VESSEL_END = enter(
    "V066",
    "closed vessel's end",
    "A closed vessel does not end with its planned volume or cell density",
    "The dose in the tube was calculated for one volume of the culture: with another, every cytokine is off, and with "
    "another density the culture starves or stands still.",
    "The moves are followed as for V065, cells with them; volumes must agree within 1 %, densities within 5 %.",
    "Correct the volume of the move that makes the difference.",
)
UNCERTAIN = enter(
    "V062",
    "predicted error",
    "The predicted CV or bias of a component is beyond the limit",
    "The dose is right on paper and not on the plate: errors of small volumes add up along a dilution chain.",
    "Random and systematic errors of each transfer, from the pipette table of the bench file, are propagated to the "
    "wells with targets, with the errors a liquid has that was prepared before; CV and bias must stay below the limits "
    "of the worklist.",
    "Use larger volumes or fewer dilution steps.",
)
# -- time ------------------------------------------------------------------------------------------------------------

CELLS_OUT = enter(
    "V070",
    "cells out of the incubator",
    "Cells stay on the deck longer than allowed",
    "Temperature and pH drift: viability and killing fall, and early and late wells differ.",
    "The estimated robot time from the first step to the last that handles cells, without the time spent in "
    "incubations, against the limit of the worklist. For closed vessels: what people take, from the first step about a "
    "vessel to the last.",
    "Split the run, use eight channels, or bring the cells to the deck at a pause before they are needed.",
)
STAGGER = enter(
    "V071",
    "contact-time stagger",
    "Targets reach the first and the last well too far apart",
    "Wells of one plate would have killed for different times.",
    "The estimated time between the first and the last dispense of target cells onto the assay plate, against 5 % of "
    "the incubation that follows (12 min of 4 h).",
    "Use eight channels or fewer wells per plate.",
)
COLD_ONTO_CELLS = enter(
    "V072",
    "cold medium onto cells",
    "A cold liquid comes onto cells",
    "Cells that meet medium from the fridge stop dividing, clump and let go of their receptors; the first wells stand "
    "in it longest, so the plate drifts.",
    "Liquids of lots stored below 15 °C and medium prepared before are followed to the wells that hold cells or will. "
    "More than 10 % of a well may come from them only after a `warm` step of their labware: 15 min up to 2 mL, 30 min "
    "up to 50 mL, 60 min above (working values).",
    "Put a warming step before it, or make the step longer.",
)
MIX_TOO_WARM = enter(
    "V073",
    "mix at room temperature",
    "A mix of stocks that are kept cold stands at room temperature too long",
    "Cytokines at working strength lose activity on the bench: the last dose is weaker than the first, and no "
    "concentration on paper shows it.",
    "From the arrival of the first cold-kept stock in an uncooled tube to its last use, its weld or its storage, "
    "robot time and people's tasks together, against `mix_at_room_minutes` of the worklist (120 min, a working value). "
    "Time in the fridge, from a `store` step at 8 °C or below to an `equilibrate` step, does not count.",
    "Store the mix at 4 °C in between, or make fewer at a time.",
)
THAWED_TOO_LONG = enter(
    "V074",
    "out of the freezer",
    "What is thawed in the run reaches cells too long after it left the freezer",
    "A thawed vector loses half of its titre within hours, and the last culture gets fewer units per cell than the "
    "first: no volume on paper shows it.",
    "From the start of the `thaw` step to the last transfer or weld that brings what was thawed to cells, robot time "
    "and people's tasks together, against `thawed_minutes` of the worklist (60 min for an added component, a working "
    "value). A worklist with this limit that has no `thaw` step for a frozen lot is refused as well.",
    "Thaw later, or thaw again for part of the cultures in a run of its own.",
)
NOT_SETTLED = enter(
    "V075",
    "cells not settled",
    "Medium is drained off a closed vessel whose cells have not settled",
    "Cells that float leave with the medium: of an exchange of half the volume, up to half of them.",
    "The time from the step in which a vessel settles to its drain, against the `settling` time of the recipe's stage.",
    "Let it settle in a step before, for long enough; mixed culture is drained in a split.",
)
# -- the checks themselves, and files ---------------------------------------------------------------------------------

CHECKS_DISAGREE = _checks.CHECKS_DISAGREE
CHECK_NOT_MADE = _checks.CHECK_NOT_MADE
CSV_ACROSS = _checks.CSV_ACROSS
CSV_CELL = _checks.CSV_CELL
CSV_SHAPE = _checks.CSV_SHAPE
ENDS_DIFFER = _checks.ENDS_DIFFER
GEOMETRY = _checks.GEOMETRY
NOT_ANNOUNCED = _checks.NOT_ANNOUNCED
ROBOT_DECK = _checks.ROBOT_DECK
ROBOT_DIFFERS = _checks.ROBOT_DIFFERS
ROBOT_REFUSES = _checks.ROBOT_REFUSES
TRACKING_DIFFERS = _checks.TRACKING_DIFFERS
TRACKING_REFUSES = _checks.TRACKING_REFUSES

RULES: tuple[Rule, ...] = tuple(sorted(ENTERED.values(), key=lambda rule: rule.id))
"""Every rule, by id."""


def refuses(rule_id: str) -> bool:
    """Whether breaking the rule refuses the worklist; a problem without a rule always does."""
    found = ENTERED.get(rule_id)
    return found is None or found.severity == "refuses"
