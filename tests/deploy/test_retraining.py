"""The examples of nightly retraining say what the commands understand."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from app.cli import cli
from app.settings import Settings
from tests.support.repository import ROOT
from training.config import read_config

DEPLOY = ROOT / "deploy"
SETTINGS = {f"ENDCAP_{name.upper()}" for name in Settings.model_fields}


def manifests() -> dict[str, Any]:
    """The Kubernetes documents by kind."""
    text = (DEPLOY / "kubernetes" / "retrain-cronjob.yaml").read_text()
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def pod() -> Any:
    """What the job runs."""
    return manifests()["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def cron_lines() -> list[str]:
    """The cron file without its comments."""
    lines = (DEPLOY / "cron" / "endcap-retrain").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def understood(words: Sequence[str]) -> Mapping[str, object]:
    """The options of an `endcap …` command as the command line takes them; what it does not know, it refuses."""
    program, name, *options = words
    assert program == "endcap"
    commands = typer.main.get_command(cli).commands  # type: ignore[attr-defined]  # cli is a group
    taken: Mapping[str, object] = commands[name].make_context(name, list(options)).params
    return taken


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
    [container] = pod()["containers"]
    named = {entry["name"] for entry in container["env"]} | {line.partition("=")[0] for line in cron_lines()[:-1]}
    assert {name for name in named if name.startswith("ENDCAP_")} == {"ENDCAP_DATA_DIR", "ENDCAP_REDIS_URL"} & SETTINGS


def test_cluster_never_runs_two_trainings_and_tries_no_refused_bundle_again() -> None:
    job = manifests()["CronJob"]["spec"]
    assert job["concurrencyPolicy"] == "Forbid"
    [refused, _] = job["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert (refused["action"], refused["onExitCodes"]["values"]) == ("FailJob", [1, 2])
    assert refused["onExitCodes"]["containerName"] == pod()["containers"][0]["name"]


def test_cluster_has_what_its_container_mounts() -> None:
    [container] = pod()["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod()["volumes"]}
    assert set(container["resources"]) == {"requests", "limits"}


def test_configuration_in_the_cluster_is_one_that_training_takes(tmp_path: Path) -> None:
    stated = manifests()["ConfigMap"]
    [volume] = [volume for volume in pod()["volumes"] if "configMap" in volume]
    assert volume["configMap"]["name"] == stated["metadata"]["name"]
    (tmp_path / "train.toml").write_text(stated["data"]["train.toml"])
    assert read_config(tmp_path / "train.toml").budget_minutes == 10.0
