"""Runner, prefect.yaml and documents name the same deployments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from nkloop.coordination.loading import load_flow
from nkloop.coordination.runner import FLOWS, deployments
from nkloop.workspace import Workspace


@pytest.fixture
def names(root: Path) -> list[str]:
    """Names of the flows, as the code has them."""
    return [getattr(load_flow(root / "flows" / f"{name}.py"), name).name for name in FLOWS]


async def test_the_runner_names_deployments_after_flows(root: Path, names: list[str]) -> None:
    made: list[Any] = await deployments(Workspace(root=root), "lab")
    assert [one.name for one in made] == [one.flow_name for one in made] == names
    assert all(one.tags == ["nkloop", "lab"] for one in made)
    # the lease of such a limit ends a run that waits for a person
    assert all(one.concurrency_limit is None and one.concurrency_options is None for one in made)


def test_prefect_yaml_has_the_same(root: Path, names: list[str]) -> None:
    described = YAML(typ="safe", pure=True).load(root / "prefect.yaml")["deployments"]
    assert {one["name"]: one["entrypoint"] for one in described} == {
        name: f"flows/{file}.py:{file}" for name, file in zip(names, FLOWS, strict=True)
    }
    assert all(one["tags"] == ["nkloop", "virtual"] for one in described)
    assert not any("concurrency_limit" in one for one in described)


def test_documents_have_the_same(root: Path, names: list[str]) -> None:
    page = (root / "docs" / "how-to" / "run-from-prefect.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `([a-z/-]+)` \|", page, re.MULTILINE)) == sorted(names)
    for flow, deployment in re.findall(r"deployment run ([a-z-]+)/([a-z-]+)", page):
        assert flow == deployment
        assert flow in names
    readme = (root / "README.md").read_text(encoding="utf-8")
    listed = re.search(r"choose a deployment\s*\(([^)]*)\)", readme)
    assert listed is not None
    assert sorted(re.findall(r"`([a-z-]+)`", listed[1])) == sorted(names)
