"""How many histories are tried: some for every run of the suite, all with `--hypothesis-profile=full`."""

from hypothesis import HealthCheck, settings

STEPS = 32

_any = settings(stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("full", _any, max_examples=520, print_blob=True)
settings.register_profile("suite", _any, max_examples=60, derandomize=True)
settings.register_profile("few", _any, max_examples=6, derandomize=True)
