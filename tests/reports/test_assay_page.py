"""One plate as Markdown."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

from nkloop.reports.assay_page import assay_markdown
from nkloop.reports.models import CampaignStory


def test_says_verdict_reasons_curves_and_quality(story: CampaignStory) -> None:
    rejected = next(plate for plate in story.plates if plate.verdict == "rejected")
    text = assay_markdown(rejected)
    assert text.startswith("# NKP-0009: rejected")
    assert "maximum and spontaneous release overlap too much" in text
    assert text.count("| arm-2-2/U") == 2
    assert "| spontaneous / maximum | 17.40 |" in text


def test_picture_travels_inside(story: CampaignStory) -> None:
    found = re.search(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", assay_markdown(story.plates[0]))
    assert found is not None
    picture = ElementTree.fromstring(base64.b64decode(found[1]))
    assert picture.tag.endswith("svg")
    assert next(iter(picture.iter("{http://www.w3.org/2000/svg}rect"))).get("fill") == "#ffffff"
