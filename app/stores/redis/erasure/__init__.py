"""Everything that Redis holds of one person: found for an export, and erased."""
