"""How long a 384-well plate takes from layout and reader file to its HTML report, in a fresh process."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from nkloop.assays.designs import DesignRequest, design
from nkloop.assays.layouts import layouts_to_csv
from nkloop.assays.models import EffectorSample, LayoutWell, PlateLayout

LIMIT = 3.0
"""Seconds."""
REPEATS = 3


def main() -> None:
    """Print the median of three runs of the command, and what part of it is the analysis itself."""
    with tempfile.TemporaryDirectory() as folder:
        layout, reading = _files(Path(folder))
        report = Path(folder) / "report.html"
        program = Path(sys.executable).with_name("nkloop")
        command = [program, "analyse", "plate", "--layout", layout, "--reading", reading]
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            subprocess.run([*map(str, command), "--report", str(report)], check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
        print(f"384-well plate, file to report, whole command: {sorted(seconds)[1]:.2f} s (limit {LIMIT:g} s)")
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = (spent.ru_utime + spent.ru_stime) / REPEATS
        print(f"processor time: {processor:.2f} s; a busy machine makes the wall time longer, not this")
        print(f"report: {report.stat().st_size / 1000:.0f} kB")


def _files(folder: Path) -> tuple[Path, Path]:
    samples = [
        EffectorSample(name=f"arm-{n}/U1", arm=f"arm-{n}", donor="U1", viability_percent=90, purity_percent=80)
        for n in range(1, 10)
    ]
    request = {
        "samples": samples[:8],
        "reference": samples[8],
        "lines": ("K-562",),
        "plate_wells": 384,
        "ratios": (10, 5, 2.5, 1.25, 0.625, 0.3125),
        "seed": 1,
        "effector_replicates": 2,
    }
    (plate,) = design(DesignRequest.model_validate(request)).layouts
    layout, reading = folder / "layout.csv", folder / "reading.csv"
    layout.write_text(layouts_to_csv([plate]), encoding="utf-8")
    chance = np.random.default_rng(1)
    header = f"barcode: {plate.barcode}\nmode: absorbance\nwavelength: 490\nreference wavelength: 680\nwell,value\n"
    rows = [f"{well.well},{_signal(plate, well) + 0.01 * chance.standard_normal():.4f}" for well in plate.wells]
    reading.write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    return layout, reading


def _signal(plate: PlateLayout, well: LayoutWell) -> float:
    if well.role in {"background", "medium_ring", "empty"}:
        return 0.1
    if well.role == "volume_correction":
        return 0.12
    ratio = well.nominal_ratio or 0.0
    alone = 0.1 + 0.02 * ratio
    if well.role == "effector_only":
        return alone
    lysis = 1.0 if well.role == "maximum" else 0.0
    if well.sample is not None:
        lysis = 1 / (1 + (1.5 / (0.72 * ratio)) ** 1.2)
    return alone + 0.15 + 1.5 * lysis


if __name__ == "__main__":
    main()
