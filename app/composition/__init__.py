"""The one place that constructs what processes run on, from the settings: stores, then the service or the worker."""
