"""Alembic's entry: runs migrations on the connection that `shared.db.migrate` hands over."""

from alembic import context

from shared.db.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    transactional_ddl=False,
)
with context.begin_transaction():
    context.run_migrations()
