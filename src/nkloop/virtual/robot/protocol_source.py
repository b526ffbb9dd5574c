"""Uploaded protocol files: which is what, and whether a robot accepts them."""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from nkloop.virtual.robot.models import FLEX, RobotModel
from nkloop.virtual.robot.parameters import Parameter, read_parameters
from nkloop.virtual.robot.refusals import enumerated, protocol_files_invalid, protocol_for_other_robot

MAX_API_LEVEL = (2, 22)
"""What robot software 8.2 accepts."""
LABWARE_KEYS = frozenset({"schemaVersion", "ordering", "wells", "parameters"})
Upload = tuple[str, bytes]
"""File name and content."""


@dataclass(frozen=True)
class ProtocolSource:
    """A protocol the robot accepted."""

    main: Upload
    labware: tuple[Upload, ...]
    data: tuple[Upload, ...]
    metadata: dict[str, Any]
    parameters: tuple[Parameter, ...]

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """Every file it came with."""
        return (self.main, *self.labware, *self.data)

    @property
    def files(self) -> list[dict[str, str]]:
        """Names and roles as the robot lists them."""
        roles = (("main", (self.main,)), ("labware", self.labware), ("data", self.data))
        return [{"name": name, "role": role} for role, uploads in roles for name, _ in uploads]

    @property
    def definitions(self) -> list[dict[str, Any]]:
        """Custom labware definitions."""
        return [json.loads(content) for _, content in self.labware]

    @property
    def content_hash(self) -> str:
        """Equal for equal file names and contents in any order."""
        digest = hashlib.sha256()
        for name, content in sorted(self.uploads):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()


def read_protocol(uploads: list[Upload], model: RobotModel = FLEX) -> ProtocolSource:
    """Sort the files by role and check the main one.

    Raises:
        Refusal: no or several main files, a file of unknown kind, a syntax error, no `run` function,
            an API level the robot does not know, or a protocol for another robot.
    """
    mains = [upload for upload in uploads if upload[0].endswith(".py")]
    labware = tuple(upload for upload in uploads if upload[0].endswith(".json"))
    data = tuple(upload for upload in uploads if PurePath(upload[0]).suffix in {".csv", ".txt"})
    for name, content in labware:
        _check_labware(name, content)
    for name, _ in uploads:
        if PurePath(name).suffix not in {".py", ".json", ".csv", ".txt"}:
            raise protocol_files_invalid(f"{name} has an unrecognized file extension.")
    if not mains:
        raise protocol_files_invalid("No valid protocol file found.")
    if len(mains) > 1:
        raise protocol_files_invalid("Could not pick single main file from protocol file list.")
    tree = _parse(*mains[0])
    metadata, requirements = _assigned(tree, "metadata"), _assigned(tree, "requirements")
    _check_main(tree, metadata, requirements, model)
    shown = {key: value for key, value in metadata.items() if key != "apiLevel"}
    return ProtocolSource(mains[0], labware, data, shown, read_parameters(tree))


def _check_labware(name: str, content: bytes) -> None:
    try:
        definition = json.loads(content)
    except ValueError:
        definition = None
    if not isinstance(definition, dict) or not set(definition) >= LABWARE_KEYS:
        detail = f"{name} is not a known Opentrons format."
        raise protocol_files_invalid(f"Error 4006 INVALID_PROTOCOL_DATA (FileIdentificationError): {detail}")


def _parse(name: str, content: bytes) -> ast.Module:
    try:
        return ast.parse(content, filename=name)
    except (SyntaxError, ValueError) as error:
        raise protocol_files_invalid(str(error)) from error


def _assigned(tree: ast.Module, name: str) -> dict[str, Any]:
    for node in tree.body:
        is_named = isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        )
        if is_named and isinstance(node, ast.Assign):
            try:
                value = ast.literal_eval(node.value)
            except ValueError as error:
                raise protocol_files_invalid(f"Could not read the contents of '{name}'") from error
            return value if isinstance(value, dict) else {}
    return {}


def _check_main(tree: ast.Module, metadata: dict[str, Any], requirements: dict[str, Any], model: RobotModel) -> None:
    levels = [text for text in (metadata.get("apiLevel"), requirements.get("apiLevel")) if text]
    if len(levels) != 1:
        fault = "not declared" if not levels else "declared twice"
        raise protocol_files_invalid(f"apiLevel {fault}; it belongs either in `requirements` or in `metadata`.")
    level = _level(levels[0])
    if level > MAX_API_LEVEL:
        raise protocol_files_invalid(
            f"API version {levels[0]} is not supported by this robot software. "
            "Please either reduce your requested API version or update your robot."
        )
    if requirements.get("robotType", "OT-2") not in model.protocol_types:
        raise protocol_for_other_robot(model)
    if level < model.oldest_api_level:
        raise protocol_files_invalid("The Opentrons Flex only supports apiLevel 2.15 or newer.")
    if not any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body):
        raise protocol_files_invalid("No function 'run(ctx)' defined")


def _level(text: Any) -> tuple[int, int]:
    major, _, minor = str(text).partition(".")
    if not (major.isdigit() and minor.isdigit()):
        message = f"{text} is incorrectly formatted. It should be in the format X.Y, where X and Y are numbers."
        raise protocol_files_invalid(enumerated("MalformedPythonProtocolError", message))
    return int(major), int(minor)
