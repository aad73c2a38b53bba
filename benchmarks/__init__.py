"""Measurements, each a command; benchmarks/README.md says what was found, where and when."""
