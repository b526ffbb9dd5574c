"""The inbox: files that readers and counters drop become readings of the plates somebody waits for."""

from nkloop.runs.inbox.inbox import Inbox, Outcome, inbox_of

__all__ = ["Inbox", "Outcome", "inbox_of"]
