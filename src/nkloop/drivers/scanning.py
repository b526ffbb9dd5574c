"""Scanned codes against what was expected: each is judged at once, in words for the person who holds the scanner."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Protocol

from nkloop.drivers.interfaces import LotToScan, OperatorRequest
from nkloop.errors import first_of
from nkloop.worklists.label_codes import meant_by


@dataclass(frozen=True)
class Known:
    """What the stock knows of a code."""

    component: str
    lot: str
    expires: date | None = None
    """Last day the lot may be used; None where nobody has said."""
    held: str = ""
    """That the lot is blocked or in quarantine, and why, in words; empty for one that may be used."""
    instead: str = ""
    """Another lot of the component that may be used, in words; empty where there is none."""

    def __str__(self) -> str:
        """`IL-15, lot L-7`."""
        return f"{self.component}, lot {self.lot}"


WhatIs = Callable[[str], Known | None]
"""What the stock knows of a code; None when it knows nothing."""


def _nothing(code: str) -> None:
    return None


@dataclass(frozen=True)
class Scan:
    """What one code was."""

    code: str
    ok: bool
    why: str
    """What it is, or why it is refused."""
    is_wrong: bool = False
    """Whether it is of something else than was asked for; a code that only tells too little is neither."""
    left: str = ""
    """What is still to be scanned after a code that nobody asked for."""

    @property
    def told(self) -> str:
        """What the person is told who scans code by code."""
        return "; ".join(filter(None, (self.why, self.left)))


class ScanBook(Protocol):
    """Where refused scans are written down."""

    def refused(self, request: OperatorRequest, scan: Scan, by: str) -> None:
        """Keep a code that was not the one asked for, with who scanned it; durable when it returns."""

    def known(self, code: str) -> Known | None:
        """What the stock knows of a code; None when it knows nothing."""


_NAMED = 3
"""Codes still to be scanned that are named with a wrong one; all of them stand above the question."""
Tell = Callable[[Scan], None]
"""Is told each refused code as soon as it was judged."""


def telling(book: ScanBook | None, request: OperatorRequest, by: str) -> Tell:
    """Writes refused codes of one person into a book; nowhere where there is none."""

    def tell(scan: Scan) -> None:
        if book is not None:
            book.refused(request, scan, by)

    return tell


def _untold(scan: Scan) -> None:
    """Nobody is told."""


@dataclass
class Scans:
    """The codes of one request, scanned one after the other in any order."""

    barcodes: dict[str, str]
    """Nickname of each labware to its barcode."""
    lots: tuple[LotToScan, ...] = ()
    later: tuple[LotToScan, ...] = ()
    """Lots that are scanned at a later step."""
    today: date = field(default_factory=lambda: datetime.now(UTC).date())
    what_is: WhatIs = _nothing
    tell: Tell = _untold
    taken: list[str] = field(default_factory=list)
    """Codes that were right, in their order."""
    _refused: dict[str, Scan] = field(default_factory=dict)

    @classmethod
    def of(cls, request: OperatorRequest, what_is: WhatIs = _nothing, tell: Tell = _untold) -> Scans:
        """Those of a request."""
        return cls(request.barcodes, request.lots, request.later_lots, what_is=what_is, tell=tell)

    @classmethod
    def written(cls, request: OperatorRequest, book: ScanBook | None, by: str) -> Scans:
        """Those of a request, scanned by one person; wrong ones are named and written down where there is a book."""
        return cls.of(request, book.known if book is not None else _nothing, telling(book, request, by))

    @property
    def total(self) -> int:
        """How many codes are expected."""
        return len(set(self.barcodes.values())) + len(self.lots)

    @property
    def missing(self) -> tuple[str, ...]:
        """What is still to be scanned, in words."""
        plates = [f"{code} ({nickname})" for nickname, code in self.barcodes.items() if code not in self.taken]
        lots = [one.left_to_scan(self.taken) for one in self.lots if not one.is_shown_by(self.taken)]
        return (*plates, *lots)

    @property
    def problem(self) -> str:
        """What is wrong by now, in one sentence; empty when every code and no other was scanned.

        Each refused code is told in the words in which it is told to who scans code by code.
        """
        refused = tuple(self._refused.values())
        if not self.missing and not any(scan.is_wrong for scan in refused):
            return ""
        left = [f"still to scan: {', '.join(self.missing)}"] if self.missing else []
        return "; ".join([*(scan.why for scan in refused), *self._expired, *left])

    def take(self, code: str) -> Scan:
        """Judge one code, read from a container, a plate or a printed label."""
        scan = self._judged(meant_by(code.strip()))
        if not scan.ok:
            self._refused[scan.code] = scan
        if scan.is_wrong:
            self.tell(scan)
        return scan

    def is_code(self, text: str) -> bool:
        """Whether a text is one of the codes expected, and so hardly a name."""
        text = meant_by(text.strip())
        return text in self.barcodes.values() or any(text in {one.lot, *one.codes} for one in (*self.lots, *self.later))

    def _judged(self, code: str) -> Scan:
        if code in self.taken:
            return Scan(code, True, f"{code} was scanned already")
        if code in self.barcodes.values():
            return self._right(code, f"{code}, {self._nickname(code)}")
        lot = next((one for one in self.lots if code in one.accepted), None)
        if lot is None:
            return self._told_too_little(code) or self._stranger(code)
        if lot.expires is not None and lot.expires < self.today:
            return Scan(code, False, f"{_expiry(lot)}: {self._other_than(code)}", is_wrong=True)
        if (known := self.what_is(code)) is not None and known.held:
            told = f"lot {lot.lot} of {lot.component} {known.held}"
            return Scan(code, False, f"{told}: {self._other_than(code)}", is_wrong=True)
        if why := lot.unfit.get(code):
            return Scan(code, False, f"{code} {why}: take another container of lot {lot.lot}", is_wrong=True)
        if lot.is_enough(self.taken):
            return self._one_more(lot, code)
        return self._right(code, f"{lot.component}, lot {lot.lot}", doubt=_too_little(lot, code))

    def _other_than(self, code: str) -> str:
        """What is done about a lot that the plan names and that may not be used: another lot needs another plan."""
        known = self.what_is(code)
        other = f"; the stock has {known.instead}" if known is not None and known.instead else ""
        return f"do not use it; decline, and plan again with another lot{other}"

    def _one_more(self, lot: LotToScan, code: str) -> Scan:
        """A code of a lot of which enough was scanned: what is scanned last does not take the place of the first."""
        own = [one for one in self.taken if one in lot.accepted]
        if not lot.is_many:
            return Scan(code, True, f"{code} was scanned already, as {own[0]}")
        first, enough = " and ".join(own), "were scanned and are" if len(own) > 1 else "was scanned and is"
        told = f"{code} is another container of {lot.component}, lot {lot.lot}; {first} {enough} enough"
        remedy = f"put {code} back, and use {first}"
        return Scan(code, False, f"{told}: {remedy}", is_wrong=True)

    def _right(self, code: str, what: str, doubt: str = "") -> Scan:
        self.taken.append(code)
        return Scan(code, True, f"{what} ({self.total - len(self.missing)} of {self.total}){doubt}")

    def _told_too_little(self, code: str) -> Scan | None:
        """A lot of several containers, or what comes at a later step: nothing wrong was taken, and nothing shown."""
        if lot := next((one for one in self.lots if code == one.lot), None):
            named = f" ({', '.join(lot.reserved)} {'is' if len(lot.reserved) == 1 else 'are'} reserved for this run)"
            told = f"{code} is the lot, and it has {len(lot.codes)} containers: scan the one in your hand"
            return Scan(code, False, f"{told}{named if lot.reserved else ''}")
        if later := next((one for one in self.later if code in {one.lot, *one.codes}), None):
            told = f"{code} is {later.component}, which comes at step {later.step} and is scanned then"
            return Scan(code, False, f"{told}: leave it where it is stored")
        return None

    def take_all(self, text: str) -> None:
        """Judge codes separated by spaces, commas, semicolons or line ends.

        Those asked for come first, so that what is told of a wrong one names what is missing beside all of them.
        """
        asked = {*self.barcodes.values(), *(code for lot in self.lots for code in lot.accepted)}
        for code in sorted(codes_in(text), key=lambda code: meant_by(code) not in asked):
            self.take(code)

    @property
    def _expired(self) -> list[str]:
        """Lots past their date of which no code was scanned; one that was scanned is among what was refused."""
        late = (one for one in self.lots if one.expires is not None and one.expires < self.today)
        return [_expiry(one) for one in late if not one.accepted.intersection(self._refused)]

    def _nickname(self, code: str) -> str:
        return next(name for name, own in self.barcodes.items() if own == code)

    def _stranger(self, code: str) -> Scan:
        known = self.what_is(code)
        same = next((one for one in self.lots if known is not None and one.component == known.component), None)
        wanted = "" if same is None else self._wanted_of(same)
        what = f"{code} is {known}, which" if known is not None else f"{code}"
        expected = {*self.barcodes.values(), *(one for lot in self.lots for one in lot.accepted)}
        alike = next((one for one in sorted(expected) if one.casefold() == code.casefold()), "")
        if known is not None and known.expires is not None and known.expires < self.today:
            instead = f"; bring {wanted} instead" if wanted else ""
            why = f"{what} expired on {known.expires} and is not expected here: do not use it{instead}"
        elif alike:
            why = f"{what} is not expected here; {alike} is: type it as it is printed, or scan it"
        elif same is not None:
            of_it = f"it is {wanted}" if wanted else "all that is needed has been scanned"
            why = f"{what} is not expected here; of {same.component} {of_it}"
        else:
            return Scan(code, False, f"{what} is not expected here", is_wrong=True, left=self._left)
        return Scan(code, False, why, is_wrong=True)

    def _wanted_of(self, lot: LotToScan) -> str:
        """What of a lot is still to be scanned; empty when nothing is."""
        return "" if lot.is_shown_by(self.taken) else lot.left_to_scan(self.taken)

    @property
    def _left(self) -> str:
        if not self.total:
            return "nothing is to be scanned here"
        wanted = first_of(self.missing, _NAMED)
        return f"still to scan: {wanted}" if wanted else "everything asked for has been scanned"


def _too_little(lot: LotToScan, code: str) -> str:
    """What to look at when another container than the reserved one counts as giving less than is needed."""
    given_ul = lot.gives_ul.get(code)
    if given_ul is None or code in lot.reserved or given_ul >= lot.needs_ul or len(lot.reserved) > 1:
        return ""
    gives = f"gives {given_ul:.4g} µL of the {lot.needs_ul:.4g} µL needed" if given_ul else "is empty"
    return f"; by the stock it {gives}: look at it"


def codes_in(text: str) -> Iterable[str]:
    """Codes of a text, each once, in their order."""
    return dict.fromkeys(filter(None, re.split(r"[\s,;]+", text)))


def _expiry(lot: LotToScan) -> str:
    return f"lot {lot.lot} of {lot.component} expired on {lot.expires}"
