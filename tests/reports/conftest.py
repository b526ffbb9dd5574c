"""Stories for the report tests; `story.py` is loaded by path because test folders are not packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from nkloop.reports.models import CampaignStory


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reports_story", Path(__file__).with_name("story.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tell() -> ModuleType:
    """The story builder."""
    return _load()


@pytest.fixture(scope="session")
def small(story: CampaignStory) -> CampaignStory:
    """The same campaign with its first round, three plates and a run of each procedure only: quick to draw."""
    return story.model_copy(
        update={
            "rounds": story.rounds[:1],
            "observations": tuple(o for o in story.observations if o.round == 1),
            "summaries": tuple(s for s in story.summaries if s.round == 1),
            "plates": story.plates[:3],
            "runs": (story.runs[0], story.runs[1], story.runs[4]),
        }
    )


@pytest.fixture(scope="session")
def story(tell: ModuleType) -> CampaignStory:
    """A full campaign: two rounds, six arms, two donors, twelve plates."""
    made = tell.campaign()
    assert isinstance(made, CampaignStory)
    return made
