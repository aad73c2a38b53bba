"""What settings accept, and what their messages keep to themselves."""

from pathlib import Path

import pytest

from app.errors import BadSetting
from app.settings import Settings, unknown_variables


def test_ledger_is_an_sqlite_file_unless_a_database_is_named(tmp_path: Path) -> None:
    assert Settings.load(data_dir=tmp_path).ledger_url == f"sqlite:///{tmp_path}/ledger.db"
    url = "postgresql://endcap:secret@db.internal/endcap"
    assert Settings.load(data_dir=tmp_path, database_url=url).ledger_url == url


def test_other_kinds_of_database_are_refused() -> None:
    with pytest.raises(BadSetting, match=r"ENDCAP_DATABASE_URL.*sqlite:/// or postgresql://"):
        Settings.load(database_url="mysql://db.internal/endcap")


@pytest.mark.parametrize("name", ["database_url", "redis_url"])
def test_no_message_repeats_a_password(name: str) -> None:
    with pytest.raises(BadSetting) as refused:
        Settings.load(**{name: "mysql://endcap:open-sesame@db.internal"})
    assert "open-sesame" not in refused.value.message


def test_unknown_time_zone_is_refused_by_name() -> None:
    with pytest.raises(BadSetting, match="ENDCAP_TIME_ZONE='Europe/Atlantis'"):
        Settings.load(time_zone="Europe/Atlantis")


def test_misspelt_variable_is_named_with_the_setting_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDCAP_API_KEYS", "0123456789abcdef")
    monkeypatch.setenv("ENDCAP_ZZZ", "1")
    assert unknown_variables() == [
        "unknown variable ENDCAP_API_KEYS: did you mean ENDCAP_API_KEY?",
        "unknown variable ENDCAP_ZZZ: docs/settings.md lists all settings",
    ]


def test_settings_in_any_case_and_the_tests_own_variable_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDCAP_PORT", "endcap_host", "ENDCAP_SHARED_DATA", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "8000")
    assert unknown_variables() == []
