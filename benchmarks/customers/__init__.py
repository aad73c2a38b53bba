"""Customers: identities joined and separated, consent, and what they cost a decision."""
