"""Runs: a verified worklist on a bench, journalled before and after; everything a flow does with it."""

from nkloop.runs.execution import OnProgress, RunProgress, execute, finish_run, play_run, prepare_run
from nkloop.runs.reading import read_plate

__all__ = ["OnProgress", "RunProgress", "execute", "finish_run", "play_run", "prepare_run", "read_plate"]
