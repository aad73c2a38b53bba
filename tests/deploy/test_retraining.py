"""The examples of nightly retraining say what the commands understand."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from tests.deploy.commands import understood
from tests.deploy.manifests import VERSIONS, documents, named, pods, schema_errors
from tests.support.repository import ROOT
from training.config import read_config

DEPLOY = ROOT / "deploy"
SETTINGS = {f"ENDCAP_{name.upper()}" for name in Settings.model_fields}


def pod() -> Any:
    """What the job runs."""
    return dict(pods(documents()))["endcap-retrain"]["spec"]


def cron_lines() -> list[str]:
    """The cron file without its comments."""
    lines = (DEPLOY / "cron" / "endcap-retrain").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("version", VERSIONS)
def test_cluster_takes_the_job(version: str) -> None:
    assert schema_errors(named("CronJob", "endcap-retrain"), version) == []


def test_cluster_runs_a_command_that_exists() -> None:
    [container] = pod()["containers"]
    taken = understood(container["command"])
    assert (taken["config"], taken["as_json"]) == (Path("/etc/endcap/train.toml"), True)


def test_cron_runs_a_command_that_exists() -> None:
    *_, job = cron_lines()
    schedule, _user, command = job.split(maxsplit=6)[:5], job.split()[5], job.split(maxsplit=6)[6]
    assert all(re.fullmatch(r"[\d*/,-]+", field) for field in schedule)
    words = shlex.split(command.partition(">")[0])
    taken = understood(words[words.index("endcap") :])
    assert taken["config"] == Path("/etc/endcap/train.toml")


def test_option_that_does_not_exist_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option: --no-such-option"):
        understood(["endcap", "train", "--no-such-option"])


def test_examples_set_only_variables_that_are_read() -> None:
    set_by_cron = {line.partition("=")[0] for line in cron_lines()[:-1]}
    assert {name for name in set_by_cron if name.startswith("ENDCAP_")} == {
        "ENDCAP_DATA_DIR",
        "ENDCAP_REDIS_URL",
    } & SETTINGS


def test_cluster_never_runs_two_trainings_and_tries_no_refused_bundle_again() -> None:
    job = named("CronJob", "endcap-retrain")["spec"]
    assert job["concurrencyPolicy"] == "Forbid"
    [refused, _] = job["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert (refused["action"], refused["onExitCodes"]["values"]) == ("FailJob", [1, 2])
    assert refused["onExitCodes"]["containerName"] == pod()["containers"][0]["name"]


def test_configuration_in_the_cluster_is_one_that_training_takes(tmp_path: Path) -> None:
    stated = named("ConfigMap", "endcap-train")
    [volume] = [volume for volume in pod()["volumes"] if "configMap" in volume]
    assert volume["configMap"]["name"] == stated["metadata"]["name"]
    (tmp_path / "train.toml").write_text(stated["data"]["train.toml"])
    assert read_config(tmp_path / "train.toml").budget_minutes == 10.0
