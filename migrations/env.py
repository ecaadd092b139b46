"""Run the migrations on the connection that ``bidder.store.schema`` hands over.

A person needs no Alembic command: ``bidder run`` upgrades its own database. To write a revision,
see CONTRIBUTING.
"""

from alembic import context

from bidder.store.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("migrations run through bidder, which upgrades its own database at start")

context.configure(
    connection=connection,
    target_metadata=metadata,
    # SQLite alters a table only by rebuilding it.
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
