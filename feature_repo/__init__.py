"""Feast's definitions: what the feature fields mean as entities, sources, views and services."""
