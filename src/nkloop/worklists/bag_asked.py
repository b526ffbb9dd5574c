"""What is asked of a dosing of bags: its stage, its tube and volumes, and what every bag holds by then."""

from __future__ import annotations

from nkloop.labware.bags import BagCatalogue
from nkloop.worklists.bag_plans import BagDosingRequest, BagFeeding
from nkloop.worklists.bag_tasks import BagTasks
from nkloop.worklists.builder import round_up
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.dose import after_decay, half_lives_h
from nkloop.worklists.dose_tubes import dose_tube, lost_ul
from nkloop.worklists.dosing_request import added_ingredients, stage_of, targets_of
from nkloop.worklists.medium_contents import other_stage


class BagAsked:
    """One request, with what follows from it before anything is planned; volumes in µL, what bags hold has decayed."""

    def __init__(self, request: BagDosingRequest, catalogue: LabwareLookup, known: BagCatalogue) -> None:
        """Work out tube, volumes and contents.

        Raises:
            PlanError: stage, component or tube of the request is not known.
        """
        self.request, self.catalogue, self.known = request, catalogue, known
        stage = stage_of(request.recipe, request.stage_id, request.name)
        self.stage, self.before = stage, other_stage(request.recipe, stage.id, request.held_stage)
        self.medium, self.base_name = stage.medium, stage.medium.base.component
        self.ingredients = added_ingredients(
            request.recipe, stage, request.components, request.name, request.arms, request.in_base
        )
        self.tube = dose_tube(known, request.tube, request.name)
        self.lost_ul = lost_ul(self.tube, catalogue)
        self.fill_ul = round_up(request.dose_ul + self.lost_ul)
        self.delivered_ul = self.fill_ul - self.lost_ul
        self.tasks = BagTasks(known, self.delivered_ul)
        self.settling_minutes = 0.0 if stage.settling is None else stage.settling.time.to("min")
        lives = half_lives_h(request.recipe)
        self.bags = tuple(
            bag.model_copy(update={"present_per_ul": after_decay(bag.present_per_ul, request.hours_since_dose, lives)})
            for bag in request.bags
        )
        self.arms = {arm.name: arm for arm in request.arms}

    def targets(self, bag: BagFeeding) -> dict[str, float]:
        """Canonical concentration per component the bag shall have."""
        return targets_of(self.request.recipe, self.request.stage_id, self.arms[bag.arm], self.ingredients)

    def words(self, bag: BagFeeding) -> str:
        """`bag B-1`, `bioreactor R-1`."""
        return f"{self.known.bag(bag.kind).vessel} {bag.bag}"

    def place_words(self, bag: BagFeeding) -> str:
        """`bag B-1 (arm-1/U1)`."""
        return f"{self.words(bag)} ({bag.arm}/{bag.donor})"
