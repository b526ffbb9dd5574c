"""The liquid handlers a bench file may name."""

from __future__ import annotations

from collections.abc import Mapping

from nkloop.drivers.pylabrobot import evo, ot2, star
from nkloop.drivers.pylabrobot.family import Family, HandlerModel
from nkloop.drivers.pylabrobot.settings import Carrier, Correction, HandlerSettings, LiquidClass
from nkloop.errors import BenchError
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import Worklist

_FAMILIES: dict[str, type[Family]] = {
    **dict.fromkeys(star.MODELS, star.StarFamily),
    **dict.fromkeys(evo.MODELS, evo.EvoFamily),
    **dict.fromkeys(ot2.MODELS, ot2.Ot2Family),
}
MODELS: dict[str, HandlerModel] = {**star.MODELS, **evo.MODELS, **ot2.MODELS}
_STAND_INS = {
    "star": {50: "nkloop_hamilton_96_filtertiprack_50ul", 300: "nkloop_hamilton_96_filtertiprack_300ul"},
    "evo": {200: "nkloop_tecan_96_tiprack_200ul"},
}
_AS_ASKED = LiquidClass(
    name="as asked",
    aspirate_ul_s=100,
    dispense_ul_s=100,
    correction=(Correction(wanted_ul=1, commanded_ul=1), Correction(wanted_ul=1000, commanded_ul=1000)),
    source="no correction, so that a simulation shows the volumes asked for",
)
_LARGEST = {"star": "nkloop_hamilton_96_filtertiprack_1000ul", "evo": "nkloop_tecan_96_tiprack_1000ul"}


def family_of(model: str, settings: HandlerSettings, pipettes: Mapping[str, str]) -> Family:
    """The family of a model, for one run with these pipettes by mount.

    Raises:
        BenchError: the model is not known, or its liquid classes ask for what it cannot do.
    """
    if model not in MODELS:
        raise BenchError(f"liquid handler '{model}' is not known", where="model", remedy=f"use {', '.join(MODELS)}")
    family = _FAMILIES[model](MODELS[model], settings, pipettes)
    for liquid in settings.liquid_classes:
        if (liquid.correction or liquid.blow_out_ul) and not family.corrects_volumes:
            title = MODELS[model].title
            raise BenchError(
                f"liquid class {liquid.name}: PyLabRobot takes no correction and no blow-out for a {title}",
                where="liquid_classes",
                remedy="give flow rates only; the maker's classes correct the volumes",
            )
    return family


def simulation_settings(model: str, worklist: Worklist, catalogue: LabwareLookup) -> HandlerSettings:
    """A deck on which a worklist of any robot can be simulated: tips on tip carriers, all else on plain ones.

    Tips the device cannot take are replaced by its own of at least the same size.
    """
    family = _FAMILIES[model]
    if model in ot2.MODELS:
        return HandlerSettings()
    kinds = {item.slot: catalogue[item.load_name] for item in worklist.deck}
    racks = [slot for slot, kind in kinds.items() if kind.kind == "tip_rack"]
    rest = [slot for slot in kinds if slot not in racks]
    per_carrier, rail, carriers = family.simulation_sites, 1 if model in star.MODELS else 6, []
    for carrier, slots in zip(family.simulation_carriers, (racks, rest), strict=True):
        for first in range(0, len(slots), per_carrier):
            carriers.append(Carrier(rail=rail, kind=carrier, slots=tuple(slots[first : first + per_carrier])))
            rail += 7
    maker = "star" if model in star.MODELS else "evo"
    tips = {}
    for kind in kinds.values():
        if kind.kind == "tip_rack" and kind.load_name not in family.racks:
            named = next(
                (rack for size, rack in _STAND_INS[maker].items() if kind.working_volume_ul <= size), _LARGEST[maker]
            )
            tips[kind.load_name] = family.racks[named]
    classes = (_AS_ASKED,) if family.corrects_volumes else ()
    return HandlerSettings(carriers=tuple(carriers), tips=tips, liquid_classes=classes)
