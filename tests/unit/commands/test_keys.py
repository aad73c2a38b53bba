"""The commands about keys, as a person or a script calls them, and the bind that a key allows."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from app.commands.supervisor import check_bind
from app.errors import BadInput, BadSetting
from app.settings import Settings
from app.stores.sql.access.keys import KeyNotFound, TooManyKeys, hash_of, read_keys
from app.stores.sql.database.engine import open_ledger


def run(data_dir: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["keys", *words, "--data-dir", str(data_dir)])


def facts(data_dir: Path, *words: str) -> Any:
    result = run(data_dir, *words, "--json")
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def test_key_is_shown_once_and_listed_without_itself(tmp_path: Path) -> None:
    made = facts(
        tmp_path, "create", "--client", "till-12", "--scope", "redeem", "--scope", "decide", "--per-second", "50"
    )
    ledger = open_ledger(Settings.load(data_dir=tmp_path).ledger_url)
    [(key_hash, grant)] = read_keys(ledger).grants.items()
    ledger.close()
    assert (key_hash, grant.key_id, grant.per_second) == (hash_of(made["key"].encode()), made["key_id"], 50)
    [listed] = facts(tmp_path, "list")["keys"]
    assert {"client": "till-12", "scopes": ["decide", "redeem"], "revoked_at": None}.items() <= listed.items()
    for words in (("list",), ("list", "--json")):
        text = run(tmp_path, *words).stdout
        assert made["key_id"] in text
        assert made["key"] not in text


def test_text_for_people_says_that_the_key_is_not_shown_again(tmp_path: Path) -> None:
    text = run(tmp_path, "create", "--client", "till-12", "--scope", "redeem").stdout
    assert "endcap_" in text
    assert "only time" in text


def test_rotation_by_commands(tmp_path: Path) -> None:
    create = ("create", "--client", "till-12", "--scope", "redeem")
    old = facts(tmp_path, *create)["key_id"]
    facts(tmp_path, *create)
    assert isinstance(run(tmp_path, *create).exception, TooManyKeys)
    assert facts(tmp_path, "revoke", old) == {"revoked": old}
    facts(tmp_path, *create)
    revoked = [key["key_id"] for key in facts(tmp_path, "list")["keys"] if key["revoked_at"]]
    assert revoked == [old]


def test_commands_refuse_what_cannot_be(tmp_path: Path) -> None:
    assert isinstance(run(tmp_path, "revoke", "key_x").exception, KeyNotFound)
    assert isinstance(run(tmp_path, "create", "--client", "local", "--scope", "redeem").exception, BadInput)
    assert run(tmp_path, "create", "--client", "till-12", "--scope", "everything").exit_code == 2
    assert run(tmp_path, "create", "--client", "till-12").exit_code == 2


def test_address_that_others_reach_needs_a_word_about_consent(tmp_path: Path) -> None:
    open_to_others = {"data_dir": tmp_path, "host": "0.0.0.0", "port": 0, "api_key": "a-key-of-decent-length"}
    with pytest.raises(BadSetting, match="ENDCAP_CONSENT=required"):
        check_bind(Settings.load(**open_to_others))
    for consent in ("required", "upstream"):
        check_bind(Settings.load(**open_to_others, consent=consent))
    check_bind(Settings.load(data_dir=tmp_path, port=0))


def test_a_live_key_allows_an_address_that_others_reach(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path, host="0.0.0.0", port=0, consent="required")
    with pytest.raises(BadSetting, match="endcap keys create"):
        check_bind(settings)
    key_id = facts(tmp_path, "create", "--client", "till-12", "--scope", "redeem")["key_id"]
    check_bind(settings)
    facts(tmp_path, "revoke", key_id)
    with pytest.raises(BadSetting, match="endcap keys create"):
        check_bind(settings)
