"""What a report tells: the whole of a campaign or of one run as data."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from nkloop.assays.models import AssayResult
from nkloop.feedback.models import ArmSummary, Observation, Proposal, Round
from nkloop.frozen import FrozenModel
from nkloop.recipes.models import Recipe
from nkloop.records.models import OperatorRemark, RunRecord
from nkloop.records.stock_models import ContainerUse
from nkloop.worklists.models import Verdict, Worklist


class Approval(FrozenModel):
    """Who decided what about a revision."""

    revision_id: str
    decision: str
    by: str
    at: datetime
    reason: str


class RunStory(FrozenModel):
    """One robot run: plan, checks, what happened."""

    record: RunRecord
    worklist: Worklist
    verdict: Verdict
    simulated: bool | None = None
    """Whether the bench is simulated; None when the teller does not know."""
    remarks: tuple[str, ...] = ()
    """Scans that were refused, questions that were withdrawn, times that were shortened, one sentence each."""
    found: tuple[OperatorRemark, ...] = ()
    """What the run was made with besides its worklist, such as labware offsets."""
    containers: tuple[ContainerUse, ...] = ()
    """What it took of the stock; empty on a bench whose stock is not counted."""
    decisions: tuple[str, ...] = ()
    """What people decided about it afterwards, one sentence each, the last one last."""
    follow_ups: tuple[str, ...] = ()
    """Runs that continue or repair it, each with its state."""


class CampaignStory(FrozenModel):
    """One campaign from the published recipe to the proposed revision."""

    campaign: str
    bench: str
    simulated: bool
    seed: int | None
    created_at: datetime
    note: str = ""
    """What a reader must know of how it was run."""
    progress: Literal["running", "interrupted", "finished"] = "finished"
    """Whether it came to its end; `running` also when its process ended without saying so."""
    recipe: Recipe
    """The recipe the campaign started from: the reference of every round."""
    proposed: Recipe | None
    rounds: tuple[Round, ...]
    observations: tuple[Observation, ...]
    summaries: tuple[ArmSummary, ...]
    proposals: tuple[Proposal, ...]
    approvals: tuple[Approval, ...]
    plates: tuple[AssayResult, ...]
    runs: tuple[RunStory, ...]
