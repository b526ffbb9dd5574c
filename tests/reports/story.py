"""Builds a realistic campaign as data: two rounds, six arms, two donors, twelve plates, runs with worklists.

Only models are used, so the reports are tested without the rooms that make these models in real life.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np

from nkloop.assays.models import (
    AssayResult,
    CurveFit,
    EffectorSample,
    LayoutWell,
    PlateLayout,
    QualityMeasure,
    WellLysis,
    WellRole,
)
from nkloop.feedback.models import Arm, ArmSummary, ComponentChange, Observation, Proposal, Round
from nkloop.recipes.models import Recipe
from nkloop.records.models import RunRecord, RunState, StepEvent, StepRecord
from nkloop.reports.models import Approval, CampaignStory, RunStory
from nkloop.worklists.models import (
    CheckResult,
    DeckItem,
    Filling,
    Liquid,
    OperatorTask,
    Procedure,
    Step,
    Verdict,
    Worklist,
)

START = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
DONORS = ("U1", "U2")
RATIOS = (10.0, 5.0, 2.5, 1.25, 0.63, 0.31)
KEYS = ("IL-15@differentiation", "IL-7@expansion-1+expansion-2", "SCF@expansion-1", "IL-2@differentiation")
_DONOR_ET50 = {"U1": 0.8, "U2": 1.15}
_DONOR_LEVEL = {"U1": 3.35, "U2": 2.75}


def recipe(*, factors: dict[str, float] | None = None, status: str = "published") -> Recipe:
    """A cord-blood NK recipe of three stages; `factors` multiplies differentiation cytokines."""
    factors = factors or {}

    def additive(component: str, value: float, unit: str, **more: object) -> dict[str, object]:
        return {
            "component": component,
            "amount": f"{value * factors.get(component, 1.0):g} {unit}",
            "source": "spanholtz-2011",
            **more,
        }

    def stage(number: int, start: int, end: int, serum: float, cytokines: list[dict[str, object]]) -> dict[str, object]:
        names = {1: "expansion-1", 2: "expansion-2", 3: "differentiation"}
        return {
            "id": names[number],
            "title": {1: "Expansion I", 2: "Expansion II", 3: "Differentiation"}[number],
            "start_day": start,
            "end_day": end,
            "vessel": {"kind": "plate", "title": "24-well plate", "volume": ["0.5 mL", "2 mL"]},
            "seeding_density": "1e5 cells/mL" if number < 3 else "1e6 cells/mL",
            "refresh": {"every": "3 d", "fraction": "50 %", "source": "spanholtz-2011"},
            "medium": {
                "base": {"component": "GBGM", "amount": f"{100 - serum:g} % v/v", "source": "spanholtz-2011"},
                "additives": [
                    {"component": "human-serum", "amount": f"{serum:g} % v/v", "source": "spanholtz-2011"},
                    *cytokines,
                ],
            },
        }

    names = ("GBGM", "human-serum", "SCF", "Flt3L", "TPO", "IL-7", "IL-15", "IL-2")
    roles = ("base", "serum", *["cytokine"] * 6)
    plausible = {
        "GBGM": ["1 % v/v", "100 % v/v"],
        "human-serum": ["1 % v/v", "20 % v/v"],
        "IL-2": ["10 IU/mL", "6000 IU/mL"],
    }
    return Recipe.model_validate(
        {
            "id": "ucb-nk",
            "title": "Cord blood CD34+ to NK cells",
            "product": "NK",
            "starting_material": "Umbilical cord blood, CD34+ enriched",
            "sources": {
                "spanholtz-2011": {
                    "title": "Spanholtz et al. 2011, PLoS ONE 6(6):e20740",
                    "reference": "doi:10.1371/journal.pone.0020740",
                }
            },
            "components": [
                {
                    "name": name,
                    "title": {"GBGM": "Glycostem basal growth medium", "human-serum": "Human serum"}.get(name, name),
                    "role": role,
                    "plausible": plausible.get(name, ["1 pg/mL", "500 ng/mL"]),
                }
                for name, role in zip(names, roles, strict=True)
            ],
            "stages": [
                stage(
                    1,
                    0,
                    9,
                    10,
                    [
                        additive("SCF", 25, "ng/mL"),
                        additive("Flt3L", 25, "ng/mL", verified_by="R. Bakker"),
                        additive("TPO", 25, "ng/mL"),
                        additive("IL-7", 25, "ng/mL"),
                    ],
                ),
                stage(2, 9, 14, 10, [additive("SCF", 25, "ng/mL"), additive("IL-7", 25, "ng/mL")]),
                stage(
                    3, 14, 35, 2, [additive("IL-7", 20, "ng/mL"), additive("IL-15", 20, "ng/mL"),
                                   additive("IL-2", 1000, "IU/mL")]
                ),
            ],
            "loop": {
                "vary": [
                    {"component": key.split("@")[0], "stages": key.split("@")[1].split("+")} for key in KEYS
                ]
            },
            "revision": {"number": 1, "parent": "ucb-nk@000000000000", "status": status} if factors else {},
        }
    )  # fmt: skip


def rounds() -> tuple[Round, ...]:
    """Two rounds of six arms, reference included."""
    rng = np.random.default_rng(7)
    made = []
    for number in (1, 2):
        arms = [Arm(name="reference", factors=dict.fromkeys(KEYS, 1.0), origin="reference")]
        for n in range(1, 6):
            factors = {key: float(round(2 ** rng.uniform(-1, 1), 2)) for key in KEYS}
            arms.append(
                Arm(
                    name=f"arm-{number}-{n}",
                    factors=factors,
                    origin="exploration" if number == 1 else "optimizer",
                    predicted_score=None if number == 1 else 3.3 + 0.05 * n,
                    predicted_sd=None if number == 1 else 0.15,
                )
            )
        made.append(Round(number=number, arms=tuple(arms), donors=DONORS))
    return tuple(made)


def _truth(arm: Arm) -> float:
    """Effect of an arm on the score: an interior optimum in IL-15 and IL-7."""
    x = math.log2(arm.factors[KEYS[0]])
    y = math.log2(arm.factors[KEYS[1]])
    return 0.35 - 0.35 * (x - 0.7) ** 2 - 0.2 * (y + 0.3) ** 2 if arm.name != "reference" else 0.14


def _lysis(ratio: float, et50: float, top: float) -> float:
    return top / (1 + (et50 / ratio) ** 1.3)


def curve(sample: str, points: list[tuple[float, float]], et50: float, top: float) -> CurveFit:
    """A determined four-parameter fit with a band; `et50` is its middle, half of the targets die further right."""
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    half = et50 * (50 / (top - 50)) ** (1 / 1.3)
    grid = []
    for x in np.geomspace(low, high, 40):
        y, half = _lysis(float(x), et50, top), 3.0 + 0.03 * top
        grid.append((float(x), y, y - half, y + half))
    return CurveFit(
        sample=sample,
        determined=True,
        bottom=0.0,
        top=top,
        et50=half,
        slope=1.3,
        et50_low=half / 1.25,
        et50_high=half * 1.25,
        et50_text=f"{half:.3g} ({half / 1.25:.3g} to {half * 1.25:.3g})",
        auc=float(np.mean([y for _, y in points])) / 100,
        auc_standard_error=0.012,
        grid=tuple(grid),
    )


def not_determined(sample: str, auc: float) -> CurveFit:
    """A curve without a fit."""
    return CurveFit(
        sample=sample,
        determined=False,
        reason="the interval of the ET50 is unbounded",
        et50_text="not determined",
        auc=auc,
    )


def layout(barcode: str, samples: tuple[EffectorSample, ...], seed: int) -> PlateLayout:
    """Inner 60 wells used, outer ring filled with medium."""
    inner = [f"{row}{column}" for column in range(2, 12) for row in "BCDEFG"]
    roles: list[tuple[WellRole, str | None, float | None, int]] = []
    for sample in samples:
        for ratio in RATIOS:
            roles += [("experimental", sample.name, ratio, k) for k in (1, 2)]
            roles += [("effector_only", sample.name, ratio, 1)]
    roles += [("spontaneous", None, None, k) for k in range(1, 7)]
    roles += [("maximum", None, None, k) for k in range(1, 7)]
    roles += [("background", None, None, k) for k in range(1, 4)]
    roles += [("volume_correction", None, None, k) for k in range(1, 4)]
    roles += [("reference_effector", "reference-effector", ratio, k) for ratio in RATIOS[:3] for k in (1, 2)]
    wells = [
        LayoutWell(well=w, role=role, sample=sample, nominal_ratio=ratio, replicate=k)
        for w, (role, sample, ratio, k) in zip(inner, roles, strict=True)
    ]
    ring = [f"{row}{column}" for column in range(1, 13) for row in "ABCDEFGH"]
    wells += [LayoutWell(well=w, role="medium_ring") for w in ring if w not in set(inner)]
    return PlateLayout(
        barcode=barcode,
        method="ldh",
        target_line="K-562",
        targets_per_well=10_000,
        contact_minutes=240,
        ratios=RATIOS,
        samples=samples,
        reference=EffectorSample(
            name="reference-effector", arm="reference-effector", donor="BANK-7", viability_percent=90,
            purity_percent=95,
        ),
        wells=tuple(wells),
        seed=seed,
    )  # fmt: skip


def plate(number: int, arm_of: tuple[Arm, Arm], donor_of: tuple[str, str], verdict: str = "accepted") -> AssayResult:
    """One analysed plate with two effector samples."""
    rng = np.random.default_rng(100 + number)
    samples = tuple(
        EffectorSample(
            name=f"{arm.name}/{donor}", arm=arm.name, donor=donor,
            viability_percent=round(88 + 4 * rng.random(), 1), purity_percent=round(84 + 8 * rng.random(), 1),
        )
        for arm, donor in zip(arm_of, donor_of, strict=True)
    )  # fmt: skip
    plan = layout(f"NKP-{number:04d}", samples, number)
    truth = {
        s.name: ((2.6 - 1.5 * _truth(a)) * _DONOR_ET50[s.donor], 74 + 20 * _truth(a) - 6 * (s.donor == "U2"))
        for s, a in zip(samples, arm_of, strict=True)
    }
    lysis, signals, points = [], {}, {s.name: [] for s in samples}
    for well in plan.wells:
        level = {"maximum": 1.9, "spontaneous": 0.32, "background": 0.08, "volume_correction": 0.1,
                 "medium_ring": 0.07, "empty": 0.05}.get(well.role)  # fmt: skip
        if well.role == "experimental" and well.sample and well.nominal_ratio:
            sample = next(s for s in samples if s.name == well.sample)
            ratio = sample.true_ratio(well.nominal_ratio)
            percent = _lysis(ratio, *truth[sample.name]) + float(rng.normal(0, 2.2))
            flags = ("replicate differs by more than 15 %",) if rng.random() < 0.03 else ()
            lysis.append(
                WellLysis(
                    well=well.well, sample=sample.name, nominal_ratio=well.nominal_ratio, true_ratio=ratio,
                    lysis_percent=percent, flags=flags,
                )
            )  # fmt: skip
            points[sample.name].append((ratio, percent))
            level = 0.32 + 1.5 * percent / 100 + 0.02 * well.nominal_ratio
        elif well.role == "effector_only" and well.nominal_ratio:
            level = 0.08 + 0.02 * well.nominal_ratio
        elif well.role == "reference_effector" and well.nominal_ratio:
            level = 0.32 + 1.5 * _lysis(well.nominal_ratio, 3, 70) / 100
        signals[well.well] = round((level or 0.05) * float(rng.normal(1, 0.03)), 4)
    curves = tuple(
        curve(name, pts, *truth[name]) if not (number == 3 and i == 1) else not_determined(name, 0.31)
        for i, (name, pts) in enumerate(points.items())
    )
    z_prime = {"accepted": 0.71, "flagged": 0.41, "rejected": 0.12}[verdict] + 0.01 * (number % 5)
    outcome = {"accepted": "pass", "flagged": "flag", "rejected": "reject"}[verdict]
    reasons = {
        "accepted": (),
        "flagged": ("Z' is between 0.3 and 0.5: usable for a cell assay with a flag",),
        "rejected": ("Z' is below 0.3: maximum and spontaneous release overlap too much",),
    }[verdict]
    quality = (
        QualityMeasure(name="Z'", value=z_prime, limit=">= 0.5 (flag below, reject < 0.3)", source="Zhang 1999",
                       outcome=outcome, reason=reasons[0] if reasons else "controls are well apart"),
        QualityMeasure(name="spontaneous / maximum", value=17.4, limit="<= 30 %", source="assay guidance",
                       outcome="pass", reason="few targets died on their own"),
        QualityMeasure(name="replicate CV", value=None, limit="<= 15 %", source="assay guidance",
                       outcome="pass", reason="no replicate pair above the signal floor"),
    )  # fmt: skip
    return AssayResult(
        barcode=plan.barcode, method="ldh", target_line="K-562", verdict=verdict, reasons=reasons,
        z_prime=z_prime, quality=quality, lysis=tuple(lysis), curves=curves, layout=plan, signals=signals,
    )  # fmt: skip


def deck(procedure: Procedure) -> tuple[DeckItem, ...]:
    """Deck of a procedure on the Flex."""
    tips = [
        DeckItem(nickname="tips_1000", slot="A1", load_name="opentrons_flex_96_tiprack_1000ul", label="Tips 1000 µL"),
        DeckItem(nickname="tips_50", slot="B1", load_name="opentrons_flex_96_tiprack_50ul", label="Tips 50 µL"),
    ]
    cold = DeckItem(
        nickname="stocks", slot="C1", load_name="opentrons_24_aluminumblock_nest_1.5ml_snapcap",
        label="Cytokine stocks, cold", module="temperatureModuleV2", temperature_c=4,
    )  # fmt: skip
    trough = DeckItem(nickname="medium", slot="C2", load_name="nest_12_reservoir_15ml", label="Media and reagents")
    if procedure == "medium_preparation":
        product = DeckItem(nickname="product", slot="B2", load_name="nest_1_reservoir_195ml", barcode="MED-0001",
                           label="Prepared medium")  # fmt: skip
        return (*tips, cold, trough, product)
    culture = DeckItem(nickname="culture", slot="D2", load_name="corning_24_wellplate_3.4ml_flat",
                       barcode="CUL-0001", label="Culture plate")  # fmt: skip
    if procedure == "cytokine_dosing":
        tubes = DeckItem(nickname="arm_media", slot="B2", load_name="opentrons_15_tuberack_nest_15ml_conical",
                         label="Arm media, 15 mL tubes")  # fmt: skip
        return (*tips, cold, trough, tubes, culture)
    plate_item = DeckItem(
        nickname="assay", slot="D1", load_name="nkloop_costar3799_96_wellplate_330ul_round", namespace="nkloop",
        module="heaterShakerModuleV1", adapter="opentrons_universal_flat_adapter", barcode="NKP-0001",
        temperature_c=37, label="Assay plate, U-bottom",
    )  # fmt: skip
    block = DeckItem(
        nickname="dilutions", slot="B2", load_name="nest_96_wellplate_2ml_deep", label="Effector dilutions"
    )
    detection = DeckItem(nickname="detection", slot="D3", load_name="corning_96_wellplate_360ul_flat",
                         label="Detection plate")  # fmt: skip
    return (*tips, trough, block, plate_item, detection)


def worklist(procedure: Procedure, number: int, revision: str) -> Worklist:
    """A short worklist with fillings from lots, one donor and one pause."""
    items = deck(procedure)
    names = {item.nickname for item in items}
    fillings = [
        Filling(labware="medium", well="A1", volume_ul=13_000,
                liquid=Liquid(name="Basal medium", per_ul={"GBGM": 1.0}, lot="LOT-GBGM-01"))
    ]  # fmt: skip
    if "stocks" in names:
        for well, name, lot in (
            ("A1", "IL-15", "LOT-IL15-07"),
            ("B1", "IL-7", "LOT-IL7-03"),
            ("C1", "SCF", "LOT-SCF-02"),
        ):
            liquid = Liquid(name=f"{name} stock", per_ul={name: 100.0}, lot=lot)
            fillings.append(Filling(labware="stocks", well=well, volume_ul=200, liquid=liquid))
    if "culture" in names:
        liquid = Liquid(name="CD34+ cells", per_ul={"cell": 500.0}, lot="donor:U1")
        fillings.append(Filling(labware="arm_media", well="A1", volume_ul=2_000, liquid=liquid))
    if "assay" in names:
        cells = Liquid(name="K-562", per_ul={"target": 100.0}, lot="line:K-562")
        fillings.append(Filling(labware="medium", well="A3", volume_ul=9_000, liquid=cells))
        for row, donor in zip("AB", DONORS, strict=True):
            liquid = Liquid(name=f"NK cells {donor}", per_ul={"effector": 4000.0}, lot=f"harvest:CUL-0001:{row}1")
            fillings.append(Filling(labware="dilutions", well=f"{row}1", volume_ul=400, liquid=liquid))
    goal = {"medium_preparation": "product", "cytokine_dosing": "culture", "cytotoxicity_assay": "assay"}[procedure]
    steps = [
        Step(number=n, action="transfer", labware="medium", well="A1", to_labware=goal, to_well="A1", volume_ul=50 + n,
             tip=f"tips_1000:A{n}" if n < 5 else "")
        for n in range(1, 9)
    ]  # fmt: skip
    task = OperatorTask(kind="incubate", instruction="Incubate the plate", labware=(goal,), minutes=240,
                        temperature_c=37)  # fmt: skip
    steps.append(Step(number=9, action="pause", comment="Incubate 4 h", operator=task))
    steps.append(Step(number=10, action="shake", labware=goal, seconds=30, rpm=500))
    return Worklist(
        name=f"{procedure.replace('_', ' ').capitalize()} {number}",
        procedure=procedure,
        pipettes={"left": "flex_1channel_1000", "right": "flex_8channel_1000"},
        deck=items,
        fillings=tuple(fillings),
        steps=tuple(steps),
        recipe_revision=revision,
    )


def run(
    procedure: Procedure, number: int, revision: str, *, state: RunState = "succeeded", unknown: tuple[int, ...] = ()
) -> RunStory:
    """One run; the steps named stay unknown and the ones after them never happened."""
    plan = worklist(procedure, number, revision)
    begin = START + timedelta(hours=6 * number)

    def event(number: int) -> StepEvent:
        return "unknown" if number in unknown else "done"

    steps = tuple(
        StepRecord(number=s.number, event=event(s.number), at=begin + timedelta(minutes=s.number))
        for s in plan.steps
        if not unknown or s.number <= max(unknown)
    )  # fmt: skip
    record = RunRecord(
        id=f"run-{number:03d}",
        name=plan.name,
        procedure=procedure,
        bench="virtual",
        device="flex-1",
        device_run_id=f"00000000-{number:04d}",
        worklist_hash=plan.content_hash,
        recipe_revision=revision,
        state=state,
        started_at=begin,
        ended_at=begin + timedelta(minutes=42) if state == "succeeded" else None,
        n_transfers=plan.n_transfers,
        steps=steps,
        operator_actions=(f"{begin:%Y-%m-%d %H:%M} UTC, virtual operator: loaded the deck as listed",),
        error="the robot stopped answering" if unknown else "",
    )
    checks = tuple(
        CheckResult(check=name, passed=True, seconds=seconds)
        for name, seconds in (("ledger", 0.021), ("opentrons analysis", 0.47), ("pylabrobot tracking", 0.35))
    )
    verdict = Verdict(worklist=plan.name, worklist_hash=plan.content_hash, checks=checks)
    return RunStory(record=record, worklist=plan, verdict=verdict, simulated=True)


def observe(rounds_: tuple[Round, ...], plates: tuple[AssayResult, ...]) -> tuple[Observation, ...]:
    """One observation for every sample of a plate that was not rejected."""
    rng = np.random.default_rng(11)
    arms = {(r.number, arm.name): arm for r in rounds_ for arm in r.arms}
    made = []
    for index, result in enumerate(plates):
        number = 1 if index < len(plates) / 2 else 2
        for sample in result.layout.samples if result.verdict != "rejected" else ():
            arm = arms[(number, sample.arm)]
            log10_fold = _DONOR_LEVEL[sample.donor] + 0.6 * _truth(arm) + float(rng.normal(0, 0.06))
            potency = next(c.auc for c in result.curves if c.sample == sample.name)
            viability = 91 + float(rng.normal(0, 1.5)) - (24 if arm.name == "arm-1-4" else 0)
            made.append(
                Observation(
                    round=number, arm=arm.name, donor=sample.donor, factors=arm.factors, log10_fold=log10_fold,
                    viability_percent=viability, purity_percent=sample.purity_percent, potency=potency,
                    plate=result.barcode, score=log10_fold + potency + 0.5 * sample.purity_percent / 100,
                    feasible=viability >= 70,
                )
            )  # fmt: skip
    return tuple(made)


def summarise(observations: tuple[Observation, ...]) -> tuple[ArmSummary, ...]:
    """Mean over donors and difference to the reference of the same round."""
    made = []
    for number in sorted({o.round for o in observations}):
        mine = [o for o in observations if o.round == number]
        reference = {o.donor: o.score for o in mine if o.arm == "reference"}
        for name in dict.fromkeys(o.arm for o in mine):
            group = [o for o in mine if o.arm == name]
            shared = [o.score - reference[o.donor] for o in group if o.donor in reference]
            delta = float(np.mean(shared)) if shared else 0.0
            known = name != "reference" and len(group) > 1
            made.append(
                ArmSummary(
                    arm=name, round=number, n=len(group), score=float(np.mean([o.score for o in group])),
                    score_standard_error=0.08 if len(group) > 1 else None, delta=delta,
                    delta_low=delta - 0.16 if known else None, delta_high=delta + 0.16 if known else None,
                    log10_fold=float(np.mean([o.log10_fold for o in group])),
                    purity_percent=float(np.mean([o.purity_percent for o in group])),
                    viability_percent=float(np.mean([o.viability_percent for o in group])),
                    potency=float(np.mean([o.potency for o in group])), feasible=all(o.feasible for o in group),
                )
            )  # fmt: skip
    return tuple(made)


def campaign() -> CampaignStory:
    """The whole story; the fifth plate is flagged, the ninth rejected."""
    told = {5: "flagged", 9: "rejected"}
    reference, made = recipe(), rounds()
    proposed = recipe(factors={"IL-15": 1.6, "IL-7": 0.8}, status="proposed")
    plates = []
    for r in made:
        pairs = [(arm, donor) for arm in r.arms for donor in r.donors]
        for k in range(0, len(pairs), 2):
            number = len(plates) + 1
            (a, da), (b, db) = pairs[k], pairs[k + 1]
            plates.append(plate(number, (a, b), (da, db), told.get(number, "accepted")))
    observations = observe(made, tuple(plates))
    summaries = summarise(observations)
    best = max((s for s in summaries if s.feasible), key=lambda s: s.delta)
    procedures: tuple[Procedure, ...] = ("medium_preparation", "cytokine_dosing", "cytotoxicity_assay")
    plan = [procedures[0], *[procedures[1]] * 3, *[procedures[2]] * 2] * 2
    runs = tuple(run(p, n, reference.revision_id) for n, p in enumerate(plan, start=1))
    changes = (
        ComponentChange(stage="differentiation", component="IL-15", before="20 ng/mL", after="32 ng/mL", factor=1.6,
                        reason="arms with more IL-15 expanded further on both donors"),
        ComponentChange(stage="expansion-1", component="IL-7", before="25 ng/mL", after="20 ng/mL", factor=0.8,
                        reason="less IL-7 kept the potency and costs less"),
    )  # fmt: skip
    proposals = tuple(
        Proposal(
            campaign="demo-1",
            after_round=number,
            parent=reference.revision_id,
            revision_id=proposed.revision_id if number == 2 else "ucb-nk@111111111111",
            changes=changes if number == 2 else changes[:1],
            expected_score=best.score + 0.04,
            expected_score_sd=0.09,
            reference_score=next(s.score for s in summaries if s.arm == "reference" and s.round == number),
            best_arm=best.arm,
            best_score=best.score,
            probability_better=0.94 if number == 2 else 0.71,
            rationale="The model expects the largest gain near the best arm; both changes stay within the step limit.",
        )
        for number in (1, 2)
    )
    approval = Approval(
        revision_id=proposed.revision_id, decision="approved", by="M. de Vries", at=START + timedelta(days=71),
        reason="Consistent on both donors; confirm on a third.",
    )  # fmt: skip
    return CampaignStory(
        campaign="demo-1",
        bench="virtual",
        simulated=True,
        seed=1,
        created_at=START,
        recipe=reference,
        proposed=proposed,
        rounds=made,
        observations=observations,
        summaries=summaries,
        proposals=proposals,
        approvals=(approval,),
        plates=tuple(plates),
        runs=runs,
    )
