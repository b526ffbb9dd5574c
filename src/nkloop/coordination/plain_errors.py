"""What nkloop says on purpose, Prefect tells in the same sentence: as state of the run, and without a traceback."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from nkloop.coordination.form_words import filled_in, in_form_words
from nkloop.errors import NkloopError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
_LOGGERS = tuple(f"prefect.{name}" for name in ("flow_runs", "task_runs", "engine", "flow_engine", "task_engine"))
"""Loggers of Prefect that report an exception which leaves a flow or a task."""


class _NoTraceback(logging.Filter):
    """Lets every record pass; one that reports an `NkloopError` loses its traceback and says the error's sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; other exceptions keep their traceback, they are faults of the program."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, NkloopError):
            # Prefect fills in `repr(error)`, which shows neither place nor remedy.
            told = record.getMessage().replace(repr(error), str(error))
            record.msg = in_form_words(told if str(error) in told else f"{told}: {error}")
            record.args, record.exc_info, record.exc_text = (), None, None
        return True


_FILTER = _NoTraceback()


def no_tracebacks() -> None:
    """Set up this process; calling it again changes nothing."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)


def fails_plainly(function: Callable[Parameters, Awaitable[Result]]) -> Callable[Parameters, Awaitable[Result]]:
    """Make the sentence of an `NkloopError` the state message of the run; stands directly below `@flow`.

    Only the outermost flow ends so: inside another one the error is raised, so that the outer one ends with it.
    Who calls the outermost flow in Python gets the error itself, as without this decorator.
    """

    @wraps(function)
    async def flow_function(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        from prefect.context import FlowRunContext
        from prefect.states import Failed

        with filled_in((*args, *kwargs.values())):
            try:
                return await function(*args, **kwargs)
            except NkloopError as error:
                context = FlowRunContext.get()
                run = context.flow_run if context else None
                if run is None or run.parent_task_run_id is not None:
                    raise
                return cast(Result, Failed(message=in_form_words(str(error)), data=error))

    # Prefect looks names of annotations up where this wrapper stands; it must find them resolved.
    cast(Any, flow_function).__signature__ = inspect.signature(function, eval_str=True)
    return flow_function
