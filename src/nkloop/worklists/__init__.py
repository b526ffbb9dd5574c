"""worklists."""
