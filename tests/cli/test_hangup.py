"""A terminal that is closed while a command works: it ends as by Ctrl+C, and what it still says breaks nothing."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys
from nkloop.cli.interrupts import heed_interrupts
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests themselves run under nohup
heed_interrupts()
try:
    os.kill(os.getpid(), signal.{name})
    signal.pause()
except KeyboardInterrupt:
    print("made safe", flush=True)
    os.write(int(sys.argv[1]), b"safe")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
@pytest.mark.parametrize(("name", "said"), [("SIGHUP", b""), ("SIGTERM", b"made safe\n"), ("SIGINT", b"made safe\n")])
def test_every_way_to_end_a_command_is_an_interrupt(name: str, said: bytes, tmp_path) -> None:
    with (tmp_path / "told").open("wb") as told:
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(name=name), str(told.fileno())],
            pass_fds=[told.fileno()], capture_output=True, timeout=30, check=True,
        )  # fmt: skip
    assert (tmp_path / "told").read_bytes() == b"safe"
    assert ended.stdout == said


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_what_was_started_to_outlive_its_terminal_goes_on() -> None:
    program = (
        "import os, signal; from nkloop.cli.interrupts import heed_interrupts; "
        "signal.signal(signal.SIGHUP, signal.SIG_IGN); heed_interrupts(); "  # as nohup leaves it
        "os.kill(os.getpid(), signal.SIGHUP); print('works on')"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30, check=True)
    assert ended.stdout == b"works on\n"
