"""Records: database, journal of physical steps, audit chain."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nkloop.records.store import Records

__all__ = ["Records"]


def __getattr__(name: str) -> Any:
    # The models of this package are read where no database is wanted, so the database is imported on first use.
    if name == "Records":
        from nkloop.records.store import Records

        return Records
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
