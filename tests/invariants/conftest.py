"""How many histories are tried: the same in every run of the suite, new ones with `--hypothesis-profile=full`."""

from hypothesis import HealthCheck, settings

STEPS = 32

_any = settings(stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("suite", _any, max_examples=520, derandomize=True)
settings.register_profile("full", _any, max_examples=2000, print_blob=True)
settings.register_profile("few", _any, max_examples=10, derandomize=True)
