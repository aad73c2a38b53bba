"""Tests of customers in Redis."""
