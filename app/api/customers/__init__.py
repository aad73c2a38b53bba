"""Customers over HTTP: their identities, what they allow and want, and what they did on every channel."""
