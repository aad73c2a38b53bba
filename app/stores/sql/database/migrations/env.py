"""What alembic runs to migrate: the revisions, in the transaction of app.stores.sql.database.schema."""

from alembic import context

from app.stores.sql.database.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
