"""The solver against the certified values of the NIST StRD nonlinear reference sets, from both starting points.

Data and certified values are NIST's own files (https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml), a work of
the United States government, unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nkloop.assays.fitting.single import fit_function

FOLDER = Path(__file__).parents[1] / "nist"
DIGITS = 6
Values = Any


def gauss(b: Values, x: Values) -> Values:
    return (
        b[0] * np.exp(-b[1] * x)
        + b[2] * np.exp(-(((x - b[3]) / b[4]) ** 2))
        + b[5] * np.exp(-(((x - b[6]) / b[7]) ** 2))
    )


def enso(b: Values, x: Values) -> Values:
    def wave(cosine: Values, sine: Values, period: Values) -> Values:
        return cosine * np.cos(2 * np.pi * x / period) + sine * np.sin(2 * np.pi * x / period)

    return b[0] + wave(b[1], b[2], 12) + wave(b[4], b[5], b[3]) + wave(b[7], b[8], b[6])


def lanczos(b: Values, x: Values) -> Values:
    return b[0] * np.exp(-b[1] * x) + b[2] * np.exp(-b[3] * x) + b[4] * np.exp(-b[5] * x)


def chwirut(b: Values, x: Values) -> Values:
    return np.exp(-b[0] * x) / (b[1] + b[2] * x)


def rational(b: Values, x: Values) -> Values:
    return (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


MODELS: dict[str, Callable[[Values, Values], Values]] = {
    "Bennett5": lambda b, x: b[0] * (b[1] + x) ** (-1 / b[2]),
    "BoxBOD": lambda b, x: b[0] * (1 - np.exp(-b[1] * x)),
    "Chwirut1": chwirut,
    "Chwirut2": chwirut,
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "ENSO": enso,
    "Eckerle4": lambda b, x: b[0] / b[1] * np.exp(-(((x - b[2]) / b[1]) ** 2) / 2),
    "Gauss1": gauss,
    "Gauss2": gauss,
    "Gauss3": gauss,
    "Hahn1": rational,
    "Kirby2": lambda b, x: (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2),
    "Lanczos1": lanczos,
    "Lanczos2": lanczos,
    "Lanczos3": lanczos,
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "MGH10": lambda b, x: b[0] * np.exp(b[1] / (x + b[2])),
    "MGH17": lambda b, x: b[0] + b[1] * np.exp(-x * b[3]) + b[2] * np.exp(-x * b[4]),
    "Misra1a": lambda b, x: b[0] * (1 - np.exp(-b[1] * x)),
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** -2),
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5),
    "Misra1d": lambda b, x: b[0] * b[1] * x / (1 + b[1] * x),
    "Nelson": lambda b, x: b[0] - b[1] * x[0] * np.exp(-b[2] * x[1]),
    "Rat42": lambda b, x: b[0] / (1 + np.exp(b[1] - b[2] * x)),
    "Rat43": lambda b, x: b[0] / (1 + np.exp(b[1] - b[2] * x)) ** (1 / b[3]),
    "Roszman1": lambda b, x: b[0] - b[1] * x - np.arctan(b[2] / (x - b[3])) / np.pi,
    "Thurber": rational,
}


@dataclass(frozen=True)
class Reference:
    starts: tuple[np.ndarray, np.ndarray]
    certified: np.ndarray
    deviations: np.ndarray
    rss: float
    y: np.ndarray
    x: np.ndarray


def read(name: str) -> Reference:
    lines = (FOLDER / f"{name}.dat").read_text(encoding="ascii").splitlines()
    values = [line.split("=")[1].split() for line in lines if re.match(r"\s*b\d+ =", line) and len(line.split()) > 5]
    table = np.array([[float(v) for v in row] for row in values])
    (rss,) = [float(line.split(":")[1]) for line in lines if line.startswith("Residual Sum of Squares")]
    start = next(i for i, line in enumerate(lines) if re.match(r"Data:\s+y", line) or re.match(r"Data:\s+log", line))
    data = np.array([[float(v) for v in line.split()] for line in lines[start + 1 :] if line.strip()])
    x = data[:, 1] if data.shape[1] == 2 else data[:, 1:].T
    return Reference((table[:, 0], table[:, 1]), table[:, 2], table[:, 3], rss, data[:, 0], x)


@pytest.mark.parametrize("start", [0, 1], ids=["start_1", "start_2"])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_certified_values_to_six_digits(name: str, start: int) -> None:
    reference = read(name)
    y = np.log(reference.y) if name == "Nelson" else reference.y
    fit = fit_function(lambda b: MODELS[name](b, reference.x), y, reference.starts[start])
    assert fit.converged
    np.testing.assert_allclose(fit.parameters, reference.certified, rtol=10**-DIGITS)
    if name == "Lanczos1":  # its residuals are 1e-14 of the data: double precision cannot hold six digits of them
        assert fit.rss < 1e-24
        return
    np.testing.assert_allclose(fit.standard_errors, reference.deviations, rtol=10**-DIGITS)
    assert fit.rss == pytest.approx(reference.rss, rel=10**-DIGITS)


def test_every_file_is_used() -> None:
    assert {path.stem for path in FOLDER.glob("*.dat")} == set(MODELS)
