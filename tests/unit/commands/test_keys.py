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
from app.stores.sql.access.publishable import Publishable, new_token_key
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


def test_publishable_key_comes_with_a_private_key_that_is_kept_nowhere(tmp_path: Path) -> None:
    create = ("create", "--client", "web-shop", "--publishable", "--origin", "https://Shop.example")
    made = facts(tmp_path, *create, "--origin", "http://localhost:3000", "--origin", "https://shop.example")
    assert made["key"].startswith("endcap_pub_")
    assert made["origins"] == ["https://shop.example", "http://localhost:3000"]
    lines = made["private_key"].splitlines()
    assert lines[0] == "-----BEGIN PRIVATE KEY-----"
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and lines[1].encode() in path.read_bytes()]
    text = run(tmp_path, *create).stdout
    assert "one time and kept nowhere" in text
    assert "-----BEGIN PRIVATE KEY-----" in text
    listed = facts(tmp_path, "list")["keys"]
    assert {(key["kind"], tuple(key["scopes"]), key["per_second"]) for key in listed} == {("publishable", (), 5)}
    assert listed[0]["origins"] == made["origins"]
    assert "pages of https://shop.example, http://localhost:3000" in run(tmp_path, "list").stdout
    assert isinstance(run(tmp_path, *create).exception, TooManyKeys)


def test_publishable_key_for_apps_with_a_token_key_of_the_shop_s_own(tmp_path: Path) -> None:
    _, public = new_token_key()
    (tmp_path / "public.pem").write_text(public)
    create = ("create", "--client", "app", "--publishable", "--per-second", "2", "--token-key")
    made = facts(tmp_path, *create, str(tmp_path / "public.pem"))
    assert (made["origins"], made["private_key"]) == ([], None)
    assert "for apps" in run(tmp_path, *create, str(tmp_path / "public.pem")).stdout
    ledger = open_ledger(Settings.load(data_dir=tmp_path).ledger_url)
    grant = read_keys(ledger).grants[hash_of(made["key"].encode())]
    ledger.close()
    assert (grant.publishable, grant.per_second) == (Publishable(public), 2)
    (tmp_path / "private.pem").write_text(new_token_key()[0])
    for name in ("private.pem", "nowhere.pem"):
        assert isinstance(run(tmp_path, *create, str(tmp_path / name)).exception, BadInput)


@pytest.mark.parametrize(
    "words",
    [
        ("--publishable", "--scope", "decide"),
        ("--scope", "decide", "--origin", "https://shop.example"),
        ("--scope", "decide", "--token-key", "public.pem"),
    ],
)
def test_options_of_two_kinds_of_keys_are_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run(tmp_path, "create", "--client", "web-shop", *words).exit_code == 2
    assert facts(tmp_path, "list")["keys"] == []


def test_origin_that_cannot_be_makes_no_key(tmp_path: Path) -> None:
    words = ("create", "--client", "web-shop", "--publishable", "--origin", "*")
    assert isinstance(run(tmp_path, *words).exception, BadInput)
    assert facts(tmp_path, "list")["keys"] == []


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
