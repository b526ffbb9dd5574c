"""Files that could not be copied out of a device when their run was closed, fetched before it deletes them."""

from __future__ import annotations

import logging

from nkloop.drivers.bench import Bench
from nkloop.errors import DeviceError, RecordError, RunForgottenError
from nkloop.records import Records
from nkloop.records.models import RunRecord
from nkloop.runs.closing import FILES_LEFT, words

SETTLED = "copied_after_the_run.txt"
"""Note among the files of a run that says when they were fetched, or that the device no longer has them."""
logger = logging.getLogger(__name__)


def are_files_pending(run: RunRecord) -> bool:
    """Whether files of a run that is over still have to be copied out of its device."""
    is_left = run.is_over and run.device_run_id is not None and FILES_LEFT in run.error
    return is_left and all(file.name != SETTLED for file in run.files)


async def copy_late(run: RunRecord, bench: Bench, records: Records) -> bool:
    """Try again to copy out the files of a run; false when they still wait, because the device does not give them.

    A run the device has forgotten is settled too: there is nothing to wait for.
    """
    at = f"{await bench.clock.now():%Y-%m-%d %H:%M} UTC"
    try:
        try:
            files = await bench.liquid_handler.files(run.device_run_id or "")
            told = f"{at}: {len(files)} file(s) copied out of {run.device}, after the run was closed"
        except RunForgottenError as error:
            files, told = (), f"{at}: {run.device} no longer has the files of this run: {words(error)}"
        kept = [(file.name, file.media_type, file.content) for file in files]
        records.files.save(run.id, [*kept, (SETTLED, "text/plain", f"{told}\n".encode())])
    except (DeviceError, RecordError) as error:
        logger.warning("files of %s still wait on %s: %s", run.id, run.device, words(error))
        return False
    return True
