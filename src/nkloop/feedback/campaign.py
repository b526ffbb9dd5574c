"""The campaign: the one object of the package that has a state, and all of it can be saved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Literal

import numpy as np
from pydantic import Field, ValidationError

from nkloop.errors import FeedbackError, NoImprovementError
from nkloop.feedback.checks import check_observations
from nkloop.feedback.designs import first_round, to_factors
from nkloop.feedback.effects import REFERENCE, summarise
from nkloop.feedback.envelope import Envelope
from nkloop.feedback.models import Arm, ArmSummary, Observation, Proposal, Round
from nkloop.feedback.optimizer import Beliefs, best_point, next_points
from nkloop.feedback.proposal import make_proposal
from nkloop.frozen import FrozenModel
from nkloop.recipes.models import Recipe

Progress = Literal["running", "interrupted", "finished"]
"""`interrupted`: cut short while running; `finished`: all its rounds have served a proposal, or the finding of none."""
_PROPOSING = 1_000_000
"""Keeps the random numbers of a proposal apart from those of any round."""


class CampaignState(FrozenModel):
    """Everything a campaign knows."""

    name: str = Field(min_length=1)
    recipe: Recipe
    n_arms: int = Field(ge=2)
    seed: int = Field(ge=0)
    rounds: tuple[Round, ...] = ()
    observations: tuple[Observation, ...] = ()
    note: str = ""
    """What a reader of its proposals must know, for example that its bench is simulated."""
    progress: Progress = "running"


class Campaign:
    """Rounds of arms around one recipe, what they gave, and what follows from it.

    The recipe is the reference of every round and the parent of every proposal; a campaign on an approved proposal is
    a new campaign. Random choices depend on the seed and the round only, so a reloaded campaign goes on identically.
    """

    def __init__(
        self, recipe: Recipe, *, n_arms: int = 6, seed: int = 0, name: str = "campaign", note: str = ""
    ) -> None:
        """Start a campaign; `n_arms` counts the reference, `note` goes into every proposal.

        Raises:
            FeedbackError: fewer than two arms, a negative seed, no name, or limits that do not fit the recipe.
        """
        try:
            self._state = CampaignState(name=name, recipe=recipe, n_arms=n_arms, seed=seed, note=note)
        except ValidationError as error:
            first = error.errors()[0]
            raise FeedbackError(
                f"{first['loc'][0]}: {first['msg']}", where=f"campaign {name}", remedy="correct the settings"
            ) from error
        self._envelope = Envelope.of(recipe)

    @classmethod
    def from_json(cls, text: str) -> Campaign:
        """Continue a saved campaign.

        Raises:
            FeedbackError: the text is not a saved campaign.
        """
        try:
            state = CampaignState.model_validate_json(text)
        except ValidationError as error:
            raise FeedbackError(
                f"not a saved campaign: {error.errors()[0]['msg']}", remedy="give the text that to_json made"
            ) from error
        campaign = cls(state.recipe, n_arms=state.n_arms, seed=state.seed, name=state.name)
        campaign._state = state
        return campaign

    def to_json(self) -> str:
        """The whole state as JSON."""
        return self._state.model_dump_json()

    @property
    def name(self) -> str:
        """Name of the campaign."""
        return self._state.name

    @property
    def note(self) -> str:
        """What a reader of its proposals must know."""
        return self._state.note

    @property
    def progress(self) -> Progress:
        """Whether it is running, was cut short, or came to its end."""
        return self._state.progress

    def mark(self, progress: Progress) -> None:
        """Note that it was cut short or came to its end."""
        self._state = self._state.model_copy(update={"progress": progress})

    @property
    def recipe(self) -> Recipe:
        """The reference."""
        return self._state.recipe

    @property
    def envelope(self) -> Envelope:
        """Hard bounds of every arm and proposal."""
        return self._envelope

    @property
    def rounds(self) -> tuple[Round, ...]:
        """Rounds so far, the running one last."""
        return self._state.rounds

    @property
    def observations(self) -> tuple[Observation, ...]:
        """Observations accepted so far."""
        return self._state.observations

    def next_round(self, donors: Sequence[str]) -> Round:
        """Design the next round for these donors: reference, replicate of the best arm so far, new arms.

        Raises:
            FeedbackError: no donors, a donor twice, the last round has no observations or no observed reference, or
                the limits leave no room for distinct arms.
        """
        number, where = len(self.rounds) + 1, f"campaign {self.name}, round {len(self.rounds) + 1}"
        if not donors or len(set(donors)) < len(donors):
            shown = ", ".join(donors) or "none"
            raise FeedbackError(f"donors: {shown}", where=where, remedy="name at least one donor, each once")
        chance = np.random.default_rng([self._state.seed, number])
        reference = Arm(name=REFERENCE, factors=self._envelope.complete({}), origin="reference")
        if number == 1:
            points = first_round(self._envelope, self._state.n_arms - 1, chance)
            new = [self._arm(number, i, p, "exploration") for i, p in enumerate(points, start=1)]
        else:
            self._require_observed_round(where)
            new = self._informed_arms(number, len(donors), chance)
        made = Round(number=number, arms=(reference, *new), donors=tuple(donors))
        for arm in made.arms:
            self._envelope.check(arm.factors, where=f"round {number}, {arm.name}")
        self._state = self._state.model_copy(update={"rounds": (*self.rounds, made)})
        return made

    def add_round(self, arms: Iterable[Arm], donors: Sequence[str]) -> Round:
        """Add a round chosen by a person; the limits hold for it all the same.

        Raises:
            FeedbackError: an arm outside the limits, two arms alike, or no reference arm.
        """
        number, listed = len(self.rounds) + 1, tuple(arms)
        where = f"campaign {self.name}, round {number}"
        for arm in listed:
            self._envelope.check(arm.factors, where=f"{where}, {arm.name}")
        full = tuple(arm.model_copy(update={"factors": self._envelope.complete(arm.factors)}) for arm in listed)
        if [arm.name for arm in full].count(REFERENCE) != 1 or any(
            value != 1.0 for arm in full if arm.name == REFERENCE for value in arm.factors.values()
        ):
            raise FeedbackError(
                "a round needs exactly one reference arm with factor 1 everywhere",
                where=where,
                remedy="add the arm 'reference'; without it rounds and donors cannot be compared",
            )
        contents = {tuple(arm.factors.values()) for arm in full}
        if len(contents) < len(full) or len({arm.name for arm in full}) < len(full):
            raise FeedbackError("two arms are alike", where=where, remedy="give arms different names and factors")
        if len(full) < 2 or not donors or len(set(donors)) < len(donors):
            raise FeedbackError("too few arms or donors", where=where, remedy="name two arms and one donor or more")
        made = Round(number=number, arms=full, donors=tuple(donors))
        self._state = self._state.model_copy(update={"rounds": (*self.rounds, made)})
        return made

    def add(self, observations: Iterable[Observation]) -> None:
        """Take observations in; all of them or, when one is wrong, none.

        Raises:
            FeedbackError: unknown round, arm or donor, factors or score that do not belong to it, an observation twice,
                another recipe revision, or a rejected plate.
        """
        new = tuple(observations)
        check_observations(new, known=self.observations, rounds=self.rounds, recipe=self.recipe)
        self._state = self._state.model_copy(update={"observations": (*self.observations, *new)})

    def summaries(self) -> tuple[ArmSummary, ...]:
        """Every arm against the reference on the same donors and round, in the order of the rounds."""
        return summarise(self.observations)

    def propose(self) -> tuple[Proposal, Recipe]:
        """The next revision for a person to approve, with the recipe that would run.

        Raises:
            NoImprovementError: nothing is expected to beat the reference.
            FeedbackError: nothing observed yet, or no observed reference.
        """
        where = f"campaign {self.name}"
        self._require_reference(where)
        beliefs = self._beliefs()
        chance = np.random.default_rng([self._state.seed, _PROPOSING, len(self.observations)])
        point = best_point(beliefs, chance)
        if point is None:
            raise NoImprovementError(
                "nothing within the limits is expected to beat the reference",
                where=where,
                remedy="keep the approved revision, or run another round",
            )
        return make_proposal(self.name, self.recipe, beliefs, point, self.observations, note=self.note)

    def _beliefs(self) -> Beliefs:
        return Beliefs.of(self._envelope, self.observations, self.recipe.loop.objective.min_viability_percent)

    def _informed_arms(self, number: int, n_donors: int, chance: np.random.Generator) -> list[Arm]:
        beliefs = self._beliefs()
        wanted = self._state.n_arms - 1
        incumbent = beliefs.best_tested() if wanted > 1 else None
        points = next_points(beliefs, wanted - (incumbent is not None), n_donors, chance)
        named = [(incumbent, "replicate")] if incumbent is not None else []
        named += [(point, "optimizer") for point in points]
        centre = fmean(o.score for o in self.observations if o.arm == REFERENCE)
        arms = []
        for index, (point, origin) in enumerate(named, start=1):
            mean, sd = beliefs.score.predict(point[None, :])
            arm = self._arm(number, index, point, origin)
            update = {"predicted_score": centre + float(mean[0]), "predicted_sd": float(sd[0])}
            arms.append(arm.model_copy(update=update))
        return arms

    def _arm(self, number: int, index: int, point: np.ndarray, origin: str) -> Arm:
        return Arm.model_validate(
            {"name": f"arm-{number}-{index}", "factors": to_factors(self._envelope, point), "origin": origin}
        )

    def _require_observed_round(self, where: str) -> None:
        last = self.rounds[-1].number
        if not any(o.round == last for o in self.observations):
            raise FeedbackError(
                f"round {last} has no observations yet", where=where, remedy="add the results of the last round first"
            )
        self._require_reference(where)

    def _require_reference(self, where: str) -> None:
        if not any(o.arm == REFERENCE for o in self.observations):
            raise FeedbackError(
                "the reference has not been observed, so no arm can be judged",
                where=where,
                remedy="repeat the assay of the reference",
            )
        if all(o.arm == REFERENCE for o in self.observations):
            raise FeedbackError("only the reference has been observed", where=where, remedy="add results of the arms")
