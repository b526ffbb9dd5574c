"""Writes `src/nkloop/labware/maker_outlines.json`: the geometry of the maker's labware of the catalogue.

Run where Opentrons' shared data is installed:
`python tests/labware/make_outlines.py FOLDER_OF_opentrons_shared_data`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from nkloop.labware import Catalogue, LabwareType
from nkloop.labware.outlines import MAKER_FILE, outline_of

ROOT = Path(__file__).parents[2]
COMMAND = "tests/labware/make_outlines.py as docs/how-to/add-a-labware.md says, for labware of the maker's library"


def main(shared_data: Path) -> None:
    """Reduce each definition to its outline, and say what was written.

    Raises:
        SystemExit: the shared data has no definition of an entry.
    """
    found = {}
    for entry in Catalogue.load(ROOT / "labware").entries:
        if entry.namespace != "opentrons" or entry.kind == "adapter":
            continue
        path = definition_path(shared_data, entry)
        if not path.is_file():
            told = f"no definition of {entry.load_name}, version {entry.version}: there is no {path}"
            raise SystemExit(f"{told}. Remedy: correct load_name or version in labware/catalogue.yaml, or the folder")
        found[entry.load_name] = outline_of(json.loads(path.read_text(encoding="utf-8"))).model_dump(exclude_none=True)
    before = set(json.loads(MAKER_FILE.read_text(encoding="utf-8"))) if MAKER_FILE.is_file() else set(found)
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(outline)}" for name, outline in found.items())
    MAKER_FILE.write_text(f"{{\n{rows}\n}}\n", encoding="utf-8")
    new, gone = (", ".join(sorted(names)) or "none" for names in (set(found) - before, before - set(found)))
    sys.stdout.write(f"{len(found)} outlines in {MAKER_FILE}, new: {new}, gone: {gone}\n")


def definition_path(shared_data: Path, entry: LabwareType) -> Path:
    """Where the maker's library keeps the definition of an entry."""
    return shared_data / "data/labware/definitions/2" / entry.load_name / f"{entry.version}.json"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("name the folder of opentrons_shared_data, as docs/how-to/add-a-labware.md says")
    main(Path(sys.argv[1]))
