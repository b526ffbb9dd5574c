"""Analysis of variance of a parallel-line assay by least squares, right with missing values too.

Terms enter in the order blocks, preparations, regression, non-parallelism, non-linearity; each sum of squares is what
the residual falls by. Without missing values this is the classical table of Ph. Eur. 5.3, 3.2.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import f as fisher

from nkloop.assays.fitting.solver import Array
from nkloop.assays.potency.data import PotencyData
from nkloop.assays.potency.models import AnovaRow


def indicator(labels: Sequence[object]) -> Array:
    """One column per distinct label."""
    levels = list(dict.fromkeys(labels))
    return np.array([[float(label == level) for level in levels] for label in labels])


def block_columns(data: PotencyData) -> Array:
    """Columns of all blocks of the design, none without blocks."""
    made = [indicator(values) for values in data.blocks.values()]
    return np.hstack(made) if made else np.zeros((len(data.response), 0))


def table(data: PotencyData) -> tuple[AnovaRow, ...]:
    """Lines from blocks to total; F and p against the residual, none without residual degrees of freedom."""
    n = len(data.response)
    preparations = indicator(data.preparation)
    x = data.log_dose[:, None] - data.log_dose.mean()
    treatments = indicator([*zip(data.preparation, np.round(data.log_dose, 10).tolist(), strict=True)])
    terms: list[tuple[str, Array]] = [(f"{name}s", indicator(values)) for name, values in data.blocks.items()]
    terms += [("preparations", preparations), ("regression", x)]
    terms += [("non-parallelism", preparations * x), ("non-linearity", treatments)]
    design, rows = np.ones((n, 1)), []
    rss, rank = residual(design, data.response)
    total, total_freedom = rss, n - rank
    for source, columns in terms:
        design = np.hstack([design, columns])
        left, more = residual(design, data.response)
        rows.append((source, more - rank, max(rss - left, 0.0)))
        rss, rank = left, more
    treated = [row for row in rows if row[0] in {"preparations", "regression", "non-parallelism", "non-linearity"}]
    rows.append(("treatments", sum(r[1] for r in treated), sum(r[2] for r in treated)))
    freedom = n - rank
    exact = rss <= 1e-20 * max(total, 1e-300)
    made = [_row(*row, rss, freedom, exact) for row in rows if row[1] > 0]
    mean = rss / freedom if freedom > 0 else None
    made.append(AnovaRow(source="residual", freedom=freedom, sum_of_squares=rss, mean_square=mean))
    made.append(AnovaRow(source="total", freedom=total_freedom, sum_of_squares=total))
    return tuple(made)


def _row(source: str, freedom: int, squares: float, rss: float, rest: int, exact: bool) -> AnovaRow:
    f = p = None
    if rest > 0 and not exact:
        f = squares / freedom / (rss / rest)
        p = float(fisher.sf(f, freedom, rest))
    return AnovaRow(source=source, freedom=freedom, sum_of_squares=squares, mean_square=squares / freedom, f=f, p=p)


def residual(design: Array, y: Array) -> tuple[float, int]:
    """Residual sum of squares and rank of a linear model."""
    solution, _, rank, _ = np.linalg.lstsq(design, y, rcond=1e-10)
    return float(np.sum((y - design @ solution) ** 2)), int(rank)
