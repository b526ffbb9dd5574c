"""What nkloop logs while a flow runs goes into the log Prefect keeps of that run, for a person who reads it there."""

from __future__ import annotations

import logging

_OURS = "nkloop"
_OF_A_RUN = "prefect.flow_runs"
"""Logger whose records Prefect keeps with the run around them."""


class _IntoTheRun(logging.Handler):
    """Hands a record to the log of the flow run around it; where there is none, to whoever listens at the root."""

    def emit(self, record: logging.LogRecord) -> None:
        from prefect.context import FlowRunContext, TaskRunContext

        runs, root = logging.getLogger(_OF_A_RUN), logging.getLogger()
        inside = FlowRunContext.get() is not None or TaskRunContext.get() is not None
        if inside and runs.isEnabledFor(record.levelno):
            runs.handle(record)
        elif root.isEnabledFor(record.levelno):
            root.handle(record)


def _is_news(record: logging.LogRecord) -> bool:
    """False for what Prefect says of a cancelled run: that it has "finished" in the state it is just leaving."""
    return not record.getMessage().startswith(("Finished in state Running", "Finished in state Cancelling"))


def _is_news_of_a_task(record: logging.LogRecord) -> bool:
    """False for the end of a task: every worklist has four, we say what they did, and a failure was told before. A
    task that was cut by a cancelled flow is no crash either: what became of its robot is told."""
    return not record.getMessage().startswith(("Finished in state", "Crash detected! Execution was"))


def speak_in_runs() -> None:
    """Set up this process; calling it again changes nothing."""
    ours = logging.getLogger(_OURS)
    if any(isinstance(handler, _IntoTheRun) for handler in ours.handlers):
        return
    ours.addHandler(_IntoTheRun())
    ours.propagate = False  # the handler hands on what others are to have, and nothing is told twice
    ours.setLevel(logging.INFO)
    logging.getLogger(_OF_A_RUN).addFilter(_is_news)
    logging.getLogger("prefect.task_runs").addFilter(_is_news_of_a_task)
