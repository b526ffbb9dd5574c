"""Which launch of a flow this is: Prefect's root flow run, which keeps its id when a person retries it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from nkloop.runs.launches import Launch, Plan, kept_once, planned_once
from nkloop.runs.session import Session
from nkloop.worklists.models import Worklist


async def launch_of(session: Session) -> Launch:
    """The launch a session works for; asked of Prefect once, and without a name outside of a flow."""
    if session.launch is None:
        session.launch = Launch(await _root_flow_run())
    return session.launch


async def planned(
    session: Session,
    name: str,
    model: type[Plan],
    make: Callable[[], Awaitable[Plan]],
    worklists_of: Callable[[Plan], Iterable[Worklist]],
) -> Plan:
    """A plan of this launch, made anew unless a part of it was begun: then as it was made (`runs.launches`)."""
    return await planned_once(await launch_of(session), name, model, session.records, make, worklists_of)


async def kept(session: Session, name: str, model: type[Plan], make: Callable[[], Awaitable[Plan]]) -> Plan:
    """A value of this launch that stays the same when the flow is resumed (`runs.launches`)."""
    return await kept_once(await launch_of(session), name, model, session.records, make)


async def _root_flow_run() -> str:
    from prefect.context import FlowRunContext
    from prefect.runtime import flow_run

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return ""
    if context.flow_run.parent_task_run_id is None:
        return str(context.flow_run.id)
    # it asks the server in steps and waits for each
    return str(await asyncio.to_thread(lambda: flow_run.root_flow_run_id))
