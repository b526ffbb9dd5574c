"""The campaign report: complete, self-contained, safe, equal for equal input."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from types import ModuleType
from xml.etree import ElementTree

import pytest

from nkloop.reports import campaign_html
from nkloop.reports.models import CampaignStory

SECTIONS = ("found", "proposal", "objective", "culture", "curves", "plates", "runs", "lots", "recipe", "methods")
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Outline(HTMLParser):
    """Collects tags, identifiers, attributes and visible text, and refuses tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        self.ids += [value for key, value in attrs if key == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        self.ids += [value for key, value in attrs if key == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def outline(html: str) -> Outline:
    """Parse a page; every opened tag must be closed in order."""
    parsed = Outline()
    parsed.feed(html)
    assert parsed.open == []
    return parsed


def words(html: str) -> str:
    """Visible text with single blanks."""
    return " ".join(" ".join(outline(html).text).split())


@pytest.fixture(scope="module")
def page(story: CampaignStory) -> str:
    return campaign_html(story)


def test_every_section_is_present(page: str) -> None:
    found = outline(page).ids
    assert [name for name in SECTIONS if name not in found] == []


def test_identifiers_are_unique(page: str) -> None:
    found = outline(page).ids
    assert sorted({name for name in found if found.count(name) > 1}) == []


def test_every_reference_inside_a_picture_leads_somewhere(page: str) -> None:
    found = set(outline(page).ids)
    used = set(re.findall(r"url\(#([^)]+)\)", page)) | set(re.findall(r'href="#([^"]+)"', page))
    assert used
    assert used <= found


def test_loads_nothing_and_runs_nothing(page: str) -> None:
    parsed = outline(page)
    assert not re.search(r"<(script|link|iframe|object|embed|img)\b", page)
    assert not re.search(r"@import|url\((?!#)", page)
    assert [value for _, key, value in parsed.attributes if key in {"src", "srcset", "data", "action"}] == []
    assert all(value.startswith("#") for _, key, value in parsed.attributes if key in {"href", "xlink:href"})
    assert [key for _, key, _ in parsed.attributes if key.startswith("on")] == []
    assert ("meta", "content", "default-src 'none'; img-src data:; style-src 'unsafe-inline'") in parsed.attributes


def test_addresses_appear_as_namespaces_only(page: str) -> None:
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_pictures_are_well_formed_and_described(page: str) -> None:
    pictures = re.findall(r"<svg .*?</svg>", page, flags=re.S)
    assert len(pictures) >= 2 * 2 + 4 + 12 * 2 - 2 + 3
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert root.get("role") == "img"
        assert root.get("aria-label")


def test_no_value_is_not_a_number(page: str) -> None:
    assert not re.search(r"\b(nan|NaN|inf|Infinity|None|undefined|null)\b", words(page))
    assert "NaN" not in page


def test_equal_story_gives_equal_page(story: CampaignStory, page: str) -> None:
    assert campaign_html(story) == page


def test_is_small(page: str) -> None:
    assert len(page.encode()) < 4_000_000


def test_simulated_bench_is_said_first(page: str) -> None:
    assert words(page).index("SIMULATED BENCH") < words(page).index("Cord blood CD34+ to NK cells", 200)
    assert "virtual (simulated)" in page
    assert r"simulated bench" in page.split("@top-left")[1][:120]


def test_real_bench_has_no_such_mark(small: CampaignStory) -> None:
    html = campaign_html(small.model_copy(update={"simulated": False, "bench": "flex-lab-2"}))
    assert "SIMULATED" not in html
    assert "2 donor units cannot stand for donors at large" in words(html)


def test_diff_shows_before_after_factor_reason_and_that_nobody_verified(page: str) -> None:
    section = words(page.split('<section id="proposal">')[1].split("</section>")[0])
    assert "Differentiation IL-15 20 ng/mL 32 ng/mL ×1.60 arms with more IL-15" in section
    assert "expanded further on both donors not verified" in section
    assert "approved by M. de Vries on 2026-05-12" in section
    assert "14 of the 15 ingredient values" in section


def test_verified_value_names_who_checked_it(page: str) -> None:
    recipe = page.split('<section id="recipe">')[1]
    assert re.search(r"<td>Flt3L</td>.*?<td>R\. Bakker</td>", recipe)


def test_plates_show_verdict_and_reason(page: str) -> None:
    section = words(page.split('<section id="plates"')[1].split("</section>")[0])
    assert "rejected Z' is below 0.3: maximum and spontaneous release overlap too much" in section
    assert section.count("in full") == 10


def test_arm_without_accepted_plate_says_so(page: str) -> None:
    assert re.search(r"arm-2-2</td>\s*<td class=\"n\">0</td><td colspan=\"6\">no accepted result", page)


def test_runs_show_all_three_checks_with_time(page: str) -> None:
    rows = page.split("All 12 runs")[1].split("</table>")[0]
    assert rows.count("✓ 0.021 s") == 12
    assert rows.count("✓ 0.47 s") == 12
    assert rows.count("✓ 0.35 s") == 12


def test_unknown_step_raises_an_alarm(tell: ModuleType, small: CampaignStory) -> None:
    broken = tell.run("cytokine_dosing", 13, small.recipe.revision_id, state="interrupted", unknown=(3, 4))
    html = campaign_html(small.model_copy(update={"runs": (*small.runs, broken)}))
    assert "2 steps of unknown outcome: 3–4" in words(html)
    assert "The physical outcome of 2 robot steps is unknown" in words(html)
    assert '<div class="alarm">' in html


def test_failed_check_shows_its_problem(tell: ModuleType, small: CampaignStory) -> None:
    run = small.runs[0]
    problem = {"message": "well A1 overflows", "where": "step 7", "remedy": "use a larger vessel"}
    failed = run.verdict.checks[0].model_copy(update={"passed": False, "problems": (problem,)})
    verdict = run.verdict.model_copy(update={"checks": (failed,)})
    html = campaign_html(small.model_copy(update={"runs": (run.model_copy(update={"verdict": verdict}),)}))
    assert "step 7: well A1 overflows. Remedy: use a larger vessel" in words(html)
    assert "○ not run" in words(html)


def test_empty_campaign_says_what_is_missing(story: CampaignStory) -> None:
    nothing = {
        "proposed": None, "rounds": (), "observations": (), "summaries": (), "proposals": (), "approvals": (),
        "plates": (), "runs": (), "seed": None,
    }  # fmt: skip
    said = words(campaign_html(story.model_copy(update=nothing)))
    for sentence in (
        "No round has been run",
        "has not proposed a revision",
        "No culture result counts yet",
        "No killing assay plate has been read",
        "No plate has been read",
        "No robot run belongs",
        "No lot was loaded",
        "no revision proposed",
    ):
        assert sentence in said


def test_planned_round_without_results(small: CampaignStory) -> None:
    update = {"observations": (), "summaries": (), "proposals": (), "proposed": None, "plates": ()}
    said = words(campaign_html(small.model_copy(update=update)))
    assert "No result of this round counts yet" in said
    assert said.count("no accepted result") == 6
    assert "No killing assay has been read yet" in said


def test_all_plates_rejected(small: CampaignStory) -> None:
    plates = tuple(plate.model_copy(update={"verdict": "rejected"}) for plate in small.plates)
    update = {"plates": plates, "observations": (), "summaries": (), "proposals": (), "proposed": None}
    said = words(campaign_html(small.model_copy(update=update)))
    assert "Of 3 killing assay plates read: 3 rejected." in said
    assert said.count("plate rejected") == 6
    assert "nothing can be said against the reference yet" in said


def test_undecided_proposal_offers_a_signature(small: CampaignStory) -> None:
    html = campaign_html(small.model_copy(update={"approvals": ()}))
    assert "proposed, awaiting a decision" in words(html)
    assert "Decision and signature" in words(html)


def test_decision_on_another_revision_does_not_count(small: CampaignStory) -> None:
    other = small.approvals[0].model_copy(update={"revision_id": "ucb-nk@222222222222"})
    assert "awaiting a decision" in words(campaign_html(small.model_copy(update={"approvals": (other,)})))


@pytest.mark.parametrize(
    "evil",
    [
        pytest.param("<script>alert(1)</script>", id="script"),
        pytest.param("\"><img src=x onerror='alert(1)'>", id="attribute"),
        pytest.param("</style><script>alert(1)</script>", id="style"),
        pytest.param("{{ 7 * 7 }}\\'; } body { display: none", id="template_and_css"),
    ],
)
def test_text_stays_text(tell: ModuleType, small: CampaignStory, evil: str) -> None:
    html = campaign_html(_poisoned(small, evil))
    parsed = outline(html)
    assert not re.search(r"<(script|img)\b", html)
    assert [key for _, key, _ in parsed.attributes if key.startswith("on")] == []
    assert html.count("</style>") == 1
    assert " ".join(evil.split()) in words(html)
    for picture in re.findall(r"<svg .*?</svg>", html, flags=re.S):
        ElementTree.fromstring(picture)


def _poisoned(story: CampaignStory, evil: str) -> CampaignStory:
    """The same story with a hostile text wherever a person or a file may write one."""
    arm = story.rounds[0].arms[1].name
    data = story.model_dump(mode="json")
    text = story.model_copy(update={"campaign": evil, "bench": evil}).model_dump(mode="json")
    data.update(campaign=text["campaign"], bench=text["bench"])
    data["approvals"][0].update(by=evil, reason=evil)
    data["proposals"][-1]["rationale"] = evil
    data["proposals"][-1]["changes"][0]["reason"] = evil
    data["recipe"]["title"] = evil
    data["proposed"]["title"] = evil
    data["runs"][0]["record"].update(name=evil, error=evil, operator_actions=[evil], state="failed")
    data["runs"][0]["worklist"]["deck"][0].update(label=evil, barcode=evil)
    data["runs"][0]["worklist"]["fillings"][0]["liquid"].update(name=evil, lot=evil)
    data["rounds"][0]["donors"] = [evil, "U2"]
    data["observations"][2]["arm"] = data["summaries"][1]["arm"] = evil
    data["summaries"][1].update(delta=9.0, feasible=True)
    for observation in data["observations"]:
        observation["donor"] = evil if observation["donor"] == "U1" else "U2"
    plate = data["plates"][1]
    plate.update(barcode=evil, reasons=[evil])
    for sample in plate["layout"]["samples"]:
        sample["donor"] = evil if sample["donor"] == "U1" else "U2"
        assert sample["arm"] == arm
    plate["curves"][0]["et50_text"] = evil
    plate["lysis"][0]["flags"] = [evil]
    return CampaignStory.model_validate(data)
