"""Writes `src/nkloop/labware/maker_outlines.json`: the geometry of the maker's labware of the catalogue.

Run where Opentrons' shared data is installed:
`python tests/labware/make_outlines.py FOLDER_OF_opentrons_shared_data`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from nkloop.labware import Catalogue
from nkloop.labware.outlines import MAKER_FILE, outline_of

ROOT = Path(__file__).parents[2]


def main(shared_data: Path) -> None:
    """Reduce each definition to its outline."""
    found = {}
    for entry in Catalogue.load(ROOT / "labware").entries:
        if entry.namespace != "opentrons" or entry.kind == "adapter":
            continue
        path = shared_data / "data/labware/definitions/2" / entry.load_name / f"{entry.version}.json"
        found[entry.load_name] = outline_of(json.loads(path.read_text(encoding="utf-8"))).model_dump(exclude_none=True)
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(outline)}" for name, outline in found.items())
    MAKER_FILE.write_text(f"{{\n{rows}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
