"""What alembic runs to add: the revisions, in the transaction of app.stores.sql.database.schema."""

from alembic import context

from app.stores.sql.database.tables import metadata

# In a table of their own: an earlier Endcap refuses a database whose other revisions it does not know.
context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table="alembic_additions"
)
context.run_migrations()
