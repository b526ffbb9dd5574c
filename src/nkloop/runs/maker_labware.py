"""Catalogue entries of standard labware against the maker's own definitions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nkloop.errors import Problem, VendorError
from nkloop.labware import Catalogue, LabwareType, check_entry
from nkloop.labware.catalogue import MAKER_NAMESPACE, entry_lines
from nkloop.labware.outlines import maker_outlines
from nkloop.vendor import VendorClient
from nkloop.yamlfile.problems import did_you_mean


async def maker_problems(catalogue: Catalogue, path: Path, vendor: VendorClient) -> tuple[Problem, ...]:
    """How entries with the maker's namespace depart from the maker's library: no such labware, or other facts of it.

    Args:
        catalogue: as it was read.
        path: its file, for the lines.
        vendor: has the maker's library.
    """
    lines = entry_lines(path.parent)
    found: list[Problem] = []
    for entry in catalogue.entries:
        if entry.namespace == MAKER_NAMESPACE:
            where = f"{path}:{lines[entry.load_name]}: {entry.load_name}"
            found += [replace(problem, where=where) for problem in await _of_entry(entry, vendor)]
    return tuple(found)


async def _of_entry(entry: LabwareType, vendor: VendorClient) -> tuple[Problem, ...]:
    try:
        definition = await vendor.labware_definition(entry.load_name, entry.namespace, entry.version)
    except VendorError as error:
        near = did_you_mean(entry.load_name, maker_outlines().keys() - {entry.load_name})
        told = f"is not to be had from the maker's library: {error.problems[0].message}"
        return (Problem(told, remedy=near or "correct load name and version, or define it with namespace nkloop"),)
    return tuple(replace(one, remedy="correct the catalogue entry") for one in check_entry(definition, entry))
