"""Everything that the database holds of one person: found for an export, and erased; money stays under a pseudonym."""
