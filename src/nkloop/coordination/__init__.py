"""Prefect at the edge: its settings and server, device locks, tasks around runs, artifacts. Science never sees it."""
