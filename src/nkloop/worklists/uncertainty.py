"""How far off the concentrations of a worklist may be, because no pipette moves exactly what it is asked.

Every transfer has a random error of its own and a systematic one that it shares with all transfers of the same volume
by the same pipette. Both are followed through the wells to first order: what an intermediate got wrong, all wells fed
from it get wrong together (docs/explanation/how-a-medium-is-planned.md). A liquid that was prepared before has errors
of its own (`Worklist.prepared`): of those a well has as much as its share of the component comes from that liquid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nkloop.errors import PlanError
from nkloop.worklists.accuracy import VolumeError, volume_error
from nkloop.worklists.bench_deck import BenchDeck, PipetteSpec
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import Step, Uncertainty, Worklist

Spot = tuple[str, str]
"""Nickname and well."""
Floats = npt.NDArray[np.float64]
_SMALLEST_PER_UL = 1e-300


def predict(
    worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck, wells: Iterable[Spot] | None = None
) -> dict[Spot, dict[str, Uncertainty]]:
    """Predicted errors of every component in every well that is asked for, at the end of the worklist.

    Stocks are taken to be what their labels say: only pipetting is counted, not a certificate's own uncertainty,
    evaporation or what sticks to a wall. The errors of liquids prepared before are those the worklist has of them.

    Args:
        worklist: its steps, followed as the ledger follows them.
        catalogue: labware types by load name.
        deck: gives the accuracy table of each pipette.
        wells: nickname and well; every well something is dispensed into when None. Asking for few wells is cheap.

    Raises:
        PlanError: a volume is below the accuracy table of its pipette, or the bench has no such pipette.
    """
    moves = list(_moves(worklist, catalogue, deck))
    asked = {move.target for move in moves} if wells is None else set(wells)
    kept = _that_matter(moves, asked)
    last_in = {move.target: index for index, move in enumerate(kept)}
    components = _components(worklist)
    states, size = _filled(worklist, components), (len(components), len(worklist.prepared))
    for index, move in enumerate(kept):
        source = states.setdefault(move.source, _State.empty(*size))
        target = states.setdefault(move.target, _State.empty(*size))
        target.receive(source, move)
        source.give(move, will_receive=last_in.get(move.source, -1) > index)
    known = _errors_of_prepared(worklist, components)
    return {spot: states[spot].result(components, known) for spot in asked if spot in states}


@dataclass(frozen=True, slots=True)
class _Move:
    """One well to one well; eight channels between the same two wells are one move."""

    source: Spot
    target: Spot
    volume: float
    random_id: int
    group_id: int
    error: VolumeError

    @property
    def errors(self) -> tuple[tuple[int, float], tuple[int, float]]:
        """Identity and relative size of the random and of the systematic error."""
        return (self.random_id, self.error.random), (self.group_id, self.error.systematic)


def _moves(worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck) -> Iterator[_Move]:
    """Transfers in order. Random errors have even numbers, systematic ones odd numbers."""
    kinds = {item.nickname: catalogue[item.load_name] for item in worklist.deck}
    groups: dict[tuple[str, float], tuple[int, VolumeError]] = {}
    number = 0
    for step in worklist.steps:
        if step.action != "transfer":
            continue
        key = (worklist.mount_of(step) or "", round(step.volume_ul, 4))
        if key not in groups:
            groups[key] = (2 * len(groups) + 1, volume_error(_pipette(worklist, deck, step), step.volume_ul))
        group, error = groups[key]
        sources = kinds[step.labware].reached(step.well, step.channels)
        targets = kinds[step.to_labware].reached(step.to_well, step.channels)
        for (source, target), count in _pairs(sources, targets).items():
            number += 1
            # independent errors of channels between the same two wells average out
            own = error if count == 1 else error.model_copy(update={"random": error.random / count**0.5})
            yield _Move(
                (step.labware, source), (step.to_labware, target), count * step.volume_ul, 2 * number, group, own
            )


def _pipette(worklist: Worklist, deck: BenchDeck, step: Step) -> PipetteSpec:
    mount = worklist.mount_of(step)
    spec = next((one for one in deck.pipettes if one.mount == mount), None)
    if spec is None:
        raise PlanError(
            f"the bench has no pipette with {step.channels} channels",
            where=f"step {step.number}",
            remedy="mount one, or choose another bench",
        )
    return spec


def _pairs(sources: Sequence[str], targets: Sequence[str]) -> dict[tuple[str, str], int]:
    counted: dict[tuple[str, str], int] = {}
    for pair in zip(sources, targets, strict=True):
        counted[pair] = counted.get(pair, 0) + 1
    return counted


def _that_matter(moves: Sequence[_Move], asked: set[Spot]) -> list[_Move]:
    """Moves that change what the wells asked for hold: backwards, a source matters once its target does."""
    matter = set(asked)
    kept = []
    for move in reversed(moves):
        if move.target in matter:
            matter.add(move.source)
            kept.append(move)
        elif move.source in matter:
            kept.append(move)
    return kept[::-1]


def _components(worklist: Worklist) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for filling in worklist.fillings for name in filling.liquid.per_ul))


def _filled(worklist: Worklist, components: Sequence[str]) -> dict[Spot, _State]:
    states: dict[Spot, _State] = {}
    rows = {lot: row for row, prepared in enumerate(worklist.prepared) for lot in prepared.lots}
    for filling in worklist.fillings:
        per_ul = np.array([filling.liquid.per_ul.get(name, 0.0) for name in components])
        of_prepared = np.zeros((len(worklist.prepared), len(components)))
        if filling.liquid.lot in rows:
            of_prepared[rows[filling.liquid.lot]] = per_ul
        spot = filling.labware, filling.well
        if spot in states:  # a second filling of one well joins the first without an error of its own
            old = states[spot]
            total = old.volume + filling.volume_ul
            old.per_ul = (old.per_ul * old.volume + per_ul * filling.volume_ul) / total
            old.of_prepared = (old.of_prepared * old.volume + of_prepared * filling.volume_ul) / total
            old.volume = total
        else:
            states[spot] = _State(filling.volume_ul, per_ul, of_prepared, np.zeros((4, len(components))))
    return states


def _errors_of_prepared(worklist: Worklist, components: Sequence[str]) -> tuple[Floats, Floats]:
    """CV and bias of prepared liquids, in percent; one row per liquid, one column per component."""
    exact = Uncertainty(cv_percent=0.0, bias_percent=0.0)
    rows = [[one.errors.get(name, exact) for name in components] for one in worklist.prepared]
    shape = (len(rows), len(components))
    cv = np.array([[one.cv_percent for one in row] for row in rows]).reshape(shape)
    return cv, np.array([[one.bias_percent for one in row] for row in rows]).reshape(shape)


@dataclass(slots=True)
class _State:
    """A well: volume, concentrations, and how both answer to each error (first derivatives times error size)."""

    volume: float
    per_ul: Floats
    of_prepared: Floats
    """Of `per_ul`, what comes from each liquid that was prepared before; one row per liquid."""
    answers: Floats
    """One row per error in `index`, one column per component: change of the concentration."""
    index: dict[int, int] = field(default_factory=dict)
    """Identity of an error to its row."""
    of_volume: Floats = field(default_factory=lambda: np.zeros(4))
    """Change of the volume, by the same rows."""

    @classmethod
    def empty(cls, n_components: int, n_prepared: int) -> _State:
        """A well without liquid and without errors, for so many components and liquids prepared before."""
        return cls(0.0, np.zeros(n_components), np.zeros((n_prepared, n_components)), np.zeros((4, n_components)))

    def receive(self, source: _State, move: _Move) -> None:
        """Mix a volume of the source in: c' = (V c + v s) / (V + v), differentiated."""
        before, moved = self.volume, move.volume
        total = before + moved
        mixed = (before * self.per_ul + moved * source.per_ul) / total
        known = len(self.index)
        self.answers[:known] *= before / total
        self.answers[:known] += np.outer(self.of_volume[:known] / total, self.per_ul - mixed)
        if source.index:
            rows = [self._row(one) for one in source.index]
            self.answers[rows] += moved / total * source.answers[: len(source.index)]
        for one, size in move.errors:
            row = self._row(one)
            self.answers[row] += moved * size / total * (source.per_ul - mixed)
            self.of_volume[row] += moved * size
        if len(self.of_prepared):
            self.of_prepared = (before * self.of_prepared + moved * source.of_prepared) / total
        self.volume, self.per_ul = total, mixed

    def give(self, move: _Move, *, will_receive: bool) -> None:
        """Lose a volume; its error matters only when something is mixed in later."""
        self.volume -= move.volume
        if will_receive:
            for one, size in move.errors:
                row = self._row(one)
                self.of_volume[row] -= move.volume * size

    def _row(self, error: int) -> int:
        row = self.index.setdefault(error, len(self.index))
        if row == len(self.answers):
            self.answers = np.vstack((self.answers, np.zeros_like(self.answers)))
            self.of_volume = np.concatenate((self.of_volume, np.zeros_like(self.of_volume)))
        return row

    def result(self, components: Sequence[str], prepared: tuple[Floats, Floats]) -> dict[str, Uncertainty]:
        """Random errors add as squares; systematic ones add as sizes, because each may go either way."""
        answers = self.answers[: len(self.index)]
        is_random = np.array([one % 2 == 0 for one in self.index], dtype=bool)
        own_cv, own_bias = (percent / 100 * self.of_prepared for percent in prepared)
        cv = np.sqrt((answers[is_random] ** 2).sum(axis=0) + (own_cv**2).sum(axis=0))
        bias = np.abs(answers[~is_random]).sum(axis=0) + own_bias.sum(axis=0)
        return {
            name: Uncertainty(cv_percent=100 * float(cv[i] / c), bias_percent=100 * float(bias[i] / c))
            for i, (name, c) in enumerate(zip(components, self.per_ul, strict=True))
            if c > _SMALLEST_PER_UL
        }
