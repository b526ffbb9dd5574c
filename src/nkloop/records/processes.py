"""Processes of this machine: which one this is, and whether another one has ended."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import NamedTuple


class ProcessMark(NamedTuple):
    """A process that cannot be mistaken for a later one with the same number."""

    host: str
    pid: int
    started: str
    """When it started, in ticks since the machine did; empty where the system does not tell."""
    space: str
    """Its process-number space (containers have their own); empty where the system does not tell."""
    machine: str = ""
    """Number its system was installed with; empty where the system has none."""
    boot: str = ""
    """Random number of the system's last start; empty where the system does not tell. Host names are given twice, and
    installed systems are copied with their numbers; this one is not."""

    @property
    def mark(self) -> str:
        """As text for the database."""
        return json.dumps(self._asdict(), sort_keys=True)


def this_process() -> ProcessMark:
    """The process that asks."""
    pid = os.getpid()
    machine, boot = _line("/etc/machine-id"), _line("/proc/sys/kernel/random/boot_id")
    return ProcessMark(socket.gethostname(), pid, _started(pid), _space(), machine, boot)


def has_ended(mark: str) -> bool:
    """Whether a process is known to have ended; False whenever nobody here can know, as for another machine.

    A machine that was started anew counts as another one: that its processes are gone cannot be told from a copy of it
    that bears the same name.
    """
    try:
        holder = ProcessMark(**json.loads(mark))
    except (ValueError, TypeError):
        return False
    here = this_process()
    if _place(holder) != _place(here):
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass  # it is there, and somebody else's
    started = _started(holder.pid)
    return _is_zombie(holder.pid) or bool(started and holder.started and started != holder.started)


def _place(mark: ProcessMark) -> tuple[str, str, str, str]:
    """Within one place a process number means one process."""
    return mark.host, mark.space, mark.machine, mark.boot


def _line(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    return ""


def _stat(pid: int) -> list[str]:
    """Fields of `/proc/<pid>/stat` after the name, which may hold anything; empty where there is no such file."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return []


def _started(pid: int) -> str:
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else ""


def _is_zombie(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] in {"Z", "X"}


def _space() -> str:
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""
