"""A finished training logged to MLflow: parameters, figures, and the files that explain them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from app.errors import BadInput
from training.release.bundle_facts import read_bundle_facts

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": 2, "MLFLOW_HTTP_REQUEST_TIMEOUT": 20}
"""MLflow's own (7 tries of 120 s) would keep a nightly job waiting for a quarter of an hour."""
LONGEST_REASON = 300
MOST_AT_ONCE = 100
"""Parameters that MLflow takes in one request."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """Where runs are logged: an MLflow tracking URI (server, SQLite or folder) and the experiment's name."""

    uri: str
    experiment: str

    @property
    def place(self) -> str:
        """The URI without user and password."""
        return self.without_secrets(self.uri)

    def without_secrets(self, text: str) -> str:
        """A text that may quote the URI, without user and password."""
        user, at, _ = urlsplit(self.uri).netloc.rpartition("@")
        return text.replace(user + at, "") if at else text


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run's files, figures that the manifest lacks (seconds by step), and its tags."""

    bundle_folder: Path
    report: Path
    seconds: Mapping[str, float]
    tags: Mapping[str, str]


def tracking_at(uri: str | None, experiment: str) -> Tracking | None:
    """Where to log runs, None without a URI; raises BadInput where MLflow is wanted and not installed."""
    if uri is None:
        return None
    # Looked up and not imported: MLflow loads slowly.
    if find_spec("mlflow") is None:
        raise BadInput(
            f"MLflow tracking at {Tracking(uri, experiment).place} needs the extra `mlflow`: "
            "run `pip install mlflow-skinny`, or unset MLFLOW_TRACKING_URI and mlflow_tracking_uri"
        )
    return Tracking(uri, experiment)


def track(tracking: Tracking, run: TrackedRun) -> str | None:
    """Logs one run; returns what went wrong in one line, None when all of it arrived. No bundle depends on tracking."""
    try:
        _log(tracking, run)
    except Exception as error:  # noqa: BLE001 - whatever a tracking store does, the bundle is complete
        reason = " ".join(tracking.without_secrets(str(error)).split())[:LONGEST_REASON] or type(error).__name__
        return f"MLflow at {tracking.place} did not take the run of {run.bundle_folder.name}: {reason}"
    return None


def _log(tracking: Tracking, run: TrackedRun) -> None:
    # MLflow loads slowly, and few installations have it.
    from mlflow import MlflowClient, environment_variables
    from mlflow.entities import Metric, Param
    from mlflow.telemetry import set_telemetry_client

    for name, value in PATIENCE.items():
        variable = getattr(environment_variables, name)
        if not variable.is_set():
            variable.set(value)
    # No usage statistics to anybody from a retailer's training.
    environment_variables.MLFLOW_DISABLE_TELEMETRY.set(True)
    set_telemetry_client()
    client = MlflowClient(tracking_uri=tracking.uri)
    known = client.get_experiment_by_name(tracking.experiment)
    experiment_id = known.experiment_id if known else client.create_experiment(tracking.experiment)
    created = client.create_run(experiment_id, run_name=run.bundle_folder.name, tags=dict(run.tags)).info
    at_ms = created.start_time
    parameters = [Param(_name(name), value) for name, value in read_bundle_facts(run.bundle_folder).parameters.items()]
    for start in range(0, len(parameters), MOST_AT_ONCE):
        client.log_batch(created.run_id, params=parameters[start : start + MOST_AT_ONCE])
    client.log_batch(created.run_id, metrics=[Metric(name, value, at_ms, 0) for name, value in _figures(run)])
    for path in (run.report, run.report.with_suffix(".json"), run.bundle_folder / "manifest.json"):
        client.log_artifact(created.run_id, str(path))
    client.set_terminated(created.run_id)


def _figures(run: TrackedRun) -> Iterator[tuple[str, float]]:
    """Every number of the manifest's metrics as `ranking/metric`, and `seconds/step`."""
    metrics = json.loads((run.bundle_folder / "manifest.json").read_bytes())["metrics"]
    for ranking, figures in metrics.items():
        if isinstance(figures, Mapping):
            yield from (
                (_name(f"{ranking}/{metric}"), float(value))
                for metric, value in figures.items()
                if isinstance(value, int | float)
            )
        elif isinstance(figures, int | float):
            yield _name(ranking), float(figures)
    yield from ((_name(f"seconds/{step}"), value) for step, value in run.seconds.items())


def _name(name: str) -> str:
    """The name in the letters that MLflow allows; `ndcg@10` becomes `ndcg_10`."""
    return re.sub(r"[^\w\-. /]", "_", name)
