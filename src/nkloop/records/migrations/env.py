"""Runs the migrations on the connection that `Database.migrate` hands over."""

from alembic import context

from nkloop.records.schema import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
