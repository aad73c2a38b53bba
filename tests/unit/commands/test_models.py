"""The commands that release models, as a person or a script calls them."""

import json
import subprocess
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from app.errors import BadInput, BundleMissing, BundleRefused
from app.model.bundle import current_version
from app.model.release import TRIALS, Trials, read_trials
from tests.support.bundles import copied, damage, worse
from tests.support.running import bare_environment, endcap
from tests.support.world import World


def run(world: World, *words: str) -> Result:
    options = ["--data-dir", str(world.settings.data_dir), "--json"]
    return CliRunner().invoke(cli, [*words, *options], env={"ENDCAP_REDIS_URL": world.redis_url})


def facts(world: World, *words: str) -> Any:
    result = run(world, *words)
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def marks(world: World) -> dict[str, list[str]]:
    """What `endcap models` marks every version with."""
    return {model["version"]: model["marks"] for model in facts(world, "models")["models"]}


def test_refusal_is_one_line_and_an_exit_status(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    live, version = current_version(bundles), worse(bundles)
    environment = bare_environment() | {"ENDCAP_REDIS_URL": own_world.redis_url}
    command = endcap("publish", version, "--json", "--data-dir", str(own_world.settings.data_dir))
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"endcap: bundle {version} is not published: ")
    assert last.endswith(f"`endcap publish {version} --force --reason TEXT` publishes it all the same")
    result = json.loads(ended.stdout)
    assert result["published"] is False
    assert {"name": "quality", "is_ok": False}.items() <= next(
        check for check in result["checks"] if check["name"] == "quality"
    ).items()
    assert current_version(bundles) == live


def test_force_needs_a_reason_and_a_reason_needs_force(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    live, version = current_version(bundles), worse(bundles)
    for words in (["--force"], ["--force", "--reason", "  "], ["--reason", "because"]):
        assert isinstance(run(own_world, "publish", version, *words).exception, BadInput)
    assert current_version(bundles) == live
    assert facts(own_world, "publish", version, "--force", "--reason", "a test")["published"] is True
    newest = facts(own_world, "models")["models"][0]
    assert (newest["version"], newest["reason"], newest["marks"]) == (version, "a test", ["live", "published"])
    assert facts(own_world, "models", "rollback") == {"model_version": live}
    assert current_version(bundles) == live


def test_canary_and_shadow_begin_show_and_end(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    live, version = current_version(bundles), copied(bundles, "next")
    assert facts(own_world, "canary", version, "--share", "12.5")["canary"]["share_percent"] == 12.5
    assert facts(own_world, "shadow", version, "--per-second", "3")["shadow"]["per_second"] == 3
    assert marks(own_world) == {version: ["canary 12.5 %", "shadow"], live: ["live", "published"]}
    assert facts(own_world, "canary") == facts(own_world, "shadow")
    assert facts(own_world, "canary", "--off")["canary"] is None
    assert facts(own_world, "shadow", "--off") == {"canary": None, "shadow": None}


def test_models_alone_and_models_list_are_alike(own_world: World) -> None:
    copied(own_world.settings.bundles_dir, "next")
    assert facts(own_world, "models") == facts(own_world, "models", "list")
    alone, listed = (
        CliRunner().invoke(cli, [*words, "--data-dir", str(own_world.settings.data_dir)]).stdout
        for words in (["models"], ["models", "list"])
    )
    assert alone == listed
    assert "ndcg@10" in alone


def test_text_says_none_where_nothing_is_on_trial(own_world: World) -> None:
    result = CliRunner().invoke(cli, ["canary", "--data-dir", str(own_world.settings.data_dir)])
    assert result.stdout == "canary: (none)\nshadow: (none)\n"


@pytest.mark.parametrize("trial", ["canary", "shadow"])
def test_trial_of_a_damaged_or_unknown_bundle_does_not_begin(own_world: World, trial: str) -> None:
    bundles = own_world.settings.bundles_dir
    version = copied(bundles, "next")
    damage(bundles / version)
    assert isinstance(run(own_world, trial, version).exception, BundleRefused)
    assert isinstance(run(own_world, trial, "nowhere").exception, BundleMissing)
    assert isinstance(run(own_world, trial, version, "--off").exception, BadInput)
    assert read_trials(bundles) == Trials()


def test_broken_file_of_trials_is_reported_and_fixed_by_off(own_world: World) -> None:
    path = own_world.settings.bundles_dir / TRIALS
    path.write_text("{")
    refusal = run(own_world, "canary").exception
    assert isinstance(refusal, BadInput)
    assert "`endcap canary --off`" in refusal.message
    assert facts(own_world, "canary", "--off") == {"canary": None, "shadow": None}


def test_comparison_is_with_the_live_bundle_unless_another_is_named(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    live, version = current_version(bundles), worse(bundles)
    compared = facts(own_world, "models", "compare", version)
    assert compared["versions"] == [version, live]
    assert compared["replay"]["quality"]["difference"]["low"] > 0
    text = (
        CliRunner()
        .invoke(cli, ["models", "compare", live, version, "--data-dir", str(own_world.settings.data_dir)])
        .stdout
    )
    assert "replay: discovery" in text
    assert live in text
