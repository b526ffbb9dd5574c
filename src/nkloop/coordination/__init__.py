"""Prefect at the edge: its settings and server, device locks, tasks around runs, artifacts. Science never sees it."""

from nkloop.coordination.blocks import read_block
from nkloop.drivers.secrets import read_blocks_with

# Whatever works with Prefect may read its blocks; drivers only know that somebody reads them.
read_blocks_with(read_block)
