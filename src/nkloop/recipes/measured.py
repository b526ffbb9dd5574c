"""What can be measured in a culture: name, unit, and the range outside which a number is impossible."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

Quantity = Literal[
    "fold_expansion",
    "viable_cells_per_ml",
    "viability_percent",
    "purity_percent",
    "cd34_percent",
    "cd45_percent",
    "cd7_percent",
    "cd56_percent",
    "cd16_percent",
    "cd3_percent",
    "cd14_percent",
    "cd1a_percent",
    "cd83_percent",
    "cd86_percent",
    "hla_dr_percent",
    "transduced_percent",
    "vector_copies_per_cell",
    "k562_lysis_percent",
    "glucose_mmol_per_l",
    "lactate_mmol_per_l",
    "ph",
    "oxygen_percent",
    "endotoxin_eu_per_ml",
    "gram_stain",
    "sterility",
    "mycoplasma",
    "replication_competent_virus",
]


class Measured(NamedTuple):
    """One measurable quantity."""

    title: str
    unit: str
    """Written after a number; empty for a pure number."""
    lowest: float = 0.0
    """Least value that is possible at all; lower ones are slips."""
    highest: float = math.inf
    """Largest value that is possible at all."""
    is_test: bool = False
    """True when the answer is negative or positive instead of a number."""


QUANTITIES: dict[Quantity, Measured] = {
    "fold_expansion": Measured("fold expansion of viable cells", "-fold"),
    "viable_cells_per_ml": Measured("viable cells", " cells/mL", highest=1e9),
    "viability_percent": Measured("viability", " %", highest=100),
    "purity_percent": Measured("CD56+CD3- cells", " %", highest=100),
    "cd34_percent": Measured("CD34+ cells", " %", highest=100),
    "cd45_percent": Measured("CD45+ cells", " %", highest=100),
    "cd7_percent": Measured("CD7+ cells", " %", highest=100),
    "cd56_percent": Measured("CD56+ cells", " %", highest=100),
    "cd16_percent": Measured("CD16+ cells", " %", highest=100),
    "cd3_percent": Measured("CD3+ cells", " %", highest=100),
    "cd14_percent": Measured("CD14+ cells", " %", highest=100),
    "cd1a_percent": Measured("CD1a+ cells", " %", highest=100),
    "cd83_percent": Measured("CD83+ cells", " %", highest=100),
    "cd86_percent": Measured("CD86+ cells", " %", highest=100),
    "hla_dr_percent": Measured("HLA-DR+ cells", " %", highest=100),
    "transduced_percent": Measured("cells that carry the transgene", " %", highest=100),
    "vector_copies_per_cell": Measured("vector copies per cell", "", highest=100),
    "k562_lysis_percent": Measured("lysis of K-562", " %", lowest=-50, highest=150),
    "glucose_mmol_per_l": Measured("glucose", " mmol/L", highest=100),
    "lactate_mmol_per_l": Measured("lactate", " mmol/L", highest=100),
    "ph": Measured("pH", "", lowest=5, highest=9),
    "oxygen_percent": Measured("dissolved oxygen", " % of air saturation", highest=150),
    "endotoxin_eu_per_ml": Measured("endotoxin", " EU/mL", highest=1000),
    "gram_stain": Measured("Gram stain", "", is_test=True),
    "sterility": Measured("sterility culture of 14 days", "", is_test=True),
    "mycoplasma": Measured("mycoplasma", "", is_test=True),
    "replication_competent_virus": Measured("replication-competent virus", "", is_test=True),
}
"""What recipes may expect, sample and limit, by its name in recipe files."""


def range_words(quantity: Quantity, low: float | None, high: float | None) -> str:
    """A range as people say it: `70 to 100 %`, `at least 70 %`, `negative`."""
    known = QUANTITIES[quantity]
    if known.is_test:
        return "negative"
    if low is None:
        return f"at most {_number(high)}{known.unit}"
    if high is None:
        return f"at least {_number(low)}{known.unit}"
    return f"{_number(low)} to {_number(high)}{known.unit}"


def _number(value: float | None) -> str:
    from nkloop.quantities.display import number

    return number(value if value is not None else 0.0, 4)
