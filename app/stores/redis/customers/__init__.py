"""Customers in Redis: their documents, what decisions and states read, and what an erasure takes."""
