"""Every exception of the package. A message says the value, the reason, the bound and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, told to the person who can mend it."""

    message: str
    """The value, the reason and the bound, in one sentence without a full stop."""
    where: str = ""
    """File, line, field, step or well at which it stands."""
    remedy: str = ""
    """What to do about it, in one sentence without a full stop."""
    rule: str = ""
    """Id of the verification rule that is broken (`V012`); empty when no rule with an id is behind it."""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f". Remedy: {self.remedy}" if self.remedy else ""
        return f"{place}{self.message}{advice}"


class NkloopError(Exception):
    """Base of every error the package raises on purpose; carries one or more problems."""

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        self.problems: tuple[Problem, ...] = (Problem(message, where, remedy),)
        super().__init__(message)

    @classmethod
    def from_problems(cls, problems: Iterable[Problem]) -> NkloopError:
        """Build one error out of many problems, so that all are reported at once."""
        gathered = tuple(problems)
        if not gathered:
            raise ValueError("an error needs at least one problem")
        error = cls(gathered[0].message)
        error.problems = gathered
        return error

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


_USER = re.compile(r"^([\w+.-]+://)?([^:/@]*):(?!//).*@", re.DOTALL)
_NO_PORT = re.compile(r"(://[^/:@?\[]*:)(?!\d+(?:[/?#]|$)|\*\*\*@).*", re.DOTALL)
_SECRET_FIELD = re.compile(r"((?:password|passwd|pwd|token|secret)=)[^&#\s]*", re.IGNORECASE)


def without_password(address: str) -> str:
    """An address to show, with *** for its password; of a malformed one for all that may be a part of it."""
    return _SECRET_FIELD.sub(r"\1***", _NO_PORT.sub(r"\1***", _USER.sub(r"\1\2:***@", address)))


def words_of(error: object) -> str:
    """What an error of somebody else's says, or its kind when it says nothing."""
    return str(error) or type(error).__name__


def first_of(names: Sequence[str], most: int) -> str:
    """Names in one sentence, at most `most` of them, and how many more there are: `A1, B1 and 3 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


class QuantityError(NkloopError):
    """An amount cannot be read, has the wrong unit, or is outside its bounds."""


class RecipeError(NkloopError):
    """A recipe file does not describe a recipe."""


class LabwareError(NkloopError):
    """A labware definition or its catalogue entry is wrong, or a labware is not in the catalogue."""


class InventoryError(NkloopError):
    """A lot list does not describe lots."""


class ShortageError(InventoryError):
    """No valid lot holds enough of a component."""


class VendorError(NkloopError):
    """The vendor environment could not do a job."""


class VendorTimeoutError(VendorError):
    """A job in the vendor environment ran past its time limit."""


class PlanError(NkloopError):
    """No worklist exists that fulfils what was asked with the bench and stocks at hand."""


class WorklistError(NkloopError):
    """A worklist is malformed or would do something physically wrong."""


class VerificationError(WorklistError):
    """At least one of the independent checks refused a worklist."""


class AssayError(NkloopError):
    """An assay cannot be laid out or analysed as asked."""


class ReadingError(AssayError):
    """A plate reading does not fit the layout it is said to belong to."""


class FeedbackError(NkloopError):
    """A campaign, an observation or a proposal is inconsistent."""


class NoImprovementError(FeedbackError):
    """Nothing within the limits is expected to beat the reference; the approved revision stays."""


class ApprovalError(FeedbackError):
    """A revision was used or approved without the right to do so."""


class BenchError(NkloopError):
    """A bench file is wrong or a bench is not ready."""


class DeviceError(NkloopError):
    """A device refused, failed or answered something unexpected."""


class DeviceUnreachableError(DeviceError):
    """A device did not answer."""


class RunForgottenError(DeviceError):
    """A device no longer knows a run, or no longer what it did in it."""


class DeviceHeldError(DeviceError):
    """Another process holds the device; it is waited for or come back to later, never shared."""


class StaleHolderError(DeviceError):
    """A process that no longer holds a device wanted to change it; another one has taken it over."""


class OperatorRefusedError(DeviceError):
    """A person declined a step or confirmed something else than what was asked."""


class NobodyToAskError(OperatorRefusedError):
    """There is nobody who could be asked here, so nobody has said anything about the step."""


class RecordError(NkloopError):
    """The database refused or holds something inconsistent."""


class StepUnknownError(RecordError):
    """The physical outcome of a step is unknown, so nothing may follow it."""


class WorkspaceError(NkloopError):
    """A folder is not a workspace or a workspace cannot be made there."""
