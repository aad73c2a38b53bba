"""What is logged to MLflow of a training, and that a failure there never costs the bundle."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.world import World
from training.release.tracking import TrackedRun, Tracking, track, tracking_at


def run_of(world: World) -> TrackedRun:
    """The run that made the world's bundle."""
    folder = world.settings.bundles_dir / (world.settings.bundles_dir / "current").read_text().strip()
    report = world.settings.reports_dir / f"{folder.name}.html"
    return TrackedRun(folder, report, {"tune": 1.5, "total": 4.0}, {"published": "true"})


@pytest.fixture
def folder_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracking:
    """An MLflow store in files, which MLflow only opens on request."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return Tracking(f"file://{tmp_path / 'runs'}", "shop")


def test_run_is_logged_with_parameters_figures_and_files(trained_world: World, folder_store: Tracking) -> None:
    finished = run_of(trained_world)
    assert track(folder_store, finished) is None
    client = MlflowClient(tracking_uri=folder_store.uri)
    experiment = client.get_experiment_by_name("shop")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status, run.data.tags["published"]) == (
        finished.bundle_folder.name,
        "FINISHED",
        "true",
    )
    assert run.data.params["als.factors"] == "64"
    assert run.data.params["config.seed"] == "0"
    assert run.data.metrics["seconds/tune"] == 1.5
    ours = {name: value for name, value in run.data.metrics.items() if name.startswith("endcap/")}
    assert any("ndcg" in name for name in ours)
    assert all(0 <= value <= 1 for name, value in ours.items() if "ndcg" in name)
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert names == {"manifest.json", finished.report.name, finished.report.with_suffix(".json").name}


def test_second_run_joins_the_first_ones_experiment(trained_world: World, folder_store: Tracking) -> None:
    assert [track(folder_store, run_of(trained_world)) for _ in range(2)] == [None, None]
    client = MlflowClient(tracking_uri=folder_store.uri)
    experiment = client.get_experiment_by_name("shop")
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id])) == 2


def test_server_that_is_down_is_reported_in_one_line_without_its_password(
    trained_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        warning = track(Tracking(f"http://ana:secret@{host}", "shop"), run_of(trained_world))
    assert warning is not None
    assert warning.startswith(f"MLflow at http://{host} did not take the run of ")
    assert "\n" not in warning
    assert "secret" not in warning


def test_nothing_is_tracked_without_a_uri() -> None:
    assert tracking_at(None, "endcap") is None


def test_training_with_a_uri_and_without_the_package_ends_before_it_starts(own_world: World) -> None:
    before = sorted(own_world.settings.bundles_dir.iterdir())
    start = "import sys; sys.modules['mlflow'] = None; from app.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", start, "train", "--data-dir", str(own_world.settings.data_dir)],
        env=os.environ
        | {"MLFLOW_TRACKING_URI": "http://u:secret@mlflow.invalid", "ENDCAP_REDIS_URL": own_world.redis_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr == (
        "endcap: MLflow tracking at http://mlflow.invalid needs the extra `mlflow`: "
        "run `pip install mlflow-skinny`, "
        "or unset MLFLOW_TRACKING_URI and mlflow_tracking_uri\n"
    )
    assert sorted(own_world.settings.bundles_dir.iterdir()) == before


def test_training_keeps_its_bundle_when_the_tracking_server_is_down(own_world: World) -> None:
    config = own_world.settings.data_dir / "train.toml"
    config.write_text(
        'budget_minutes = 0\npublish = false\nmax_windows = 1\nmlflow_tracking_uri = "http://127.0.0.1:9"\n'
    )
    before = set(own_world.settings.bundles_dir.iterdir())
    ended = subprocess.run(
        [sys.executable, "-m", "app.cli", "train", "--config", str(config), "--data-dir", str(config.parent)],
        env=os.environ | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "ENDCAP_REDIS_URL": own_world.redis_url},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "warning: MLflow at http://127.0.0.1:9 did not take the run" in " ".join(ended.stderr.split())
    [made] = set(own_world.settings.bundles_dir.iterdir()) - before
    assert (made / "manifest.json").exists()


def test_package_that_is_there_gives_a_place_to_track_at() -> None:
    assert tracking_at("sqlite:///runs.db", "shop") == Tracking("sqlite:///runs.db", "shop")
