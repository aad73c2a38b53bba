"""Customers in the database: whose an identity is, what was said about consent, what somebody never wants to see."""
