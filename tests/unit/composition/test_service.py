"""What holds a service's connections lets go of them in reverse, also where its start fails."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from app.api.state import Service
from app.composition.service import build_service, close_service
from app.errors import StoreUnavailable
from app.main import lifespan_of
from app.settings import Settings

NOWHERE = "redis://127.0.0.1:1/0"
"""Nothing listens there; building a service connects to nothing yet."""
IN_REVERSE = ["keys", "projections", "writes", "reads", "ledger"]


class Part:
    """Stands in for a store; notes when it is closed, and answers no question."""

    def __init__(self, name: str, closed: list[str]) -> None:
        self._name, self._closed = name, closed

    def close(self) -> None:
        self._closed.append(self._name)

    async def aclose(self) -> None:
        self._closed.append(self._name)

    async def refresh(self) -> None:
        raise StoreUnavailable("the keys' store breaks")

    def read(self, _: object) -> None:
        raise StoreUnavailable("the ledger does not answer")

    @property
    def engine(self) -> None:
        raise StoreUnavailable("the ledger does not answer")


def parts(tmp_path: Path, closed: list[str]) -> tuple[Service, list[Any]]:
    """A service whose stores are such parts, and its two connections."""
    service, _ = build_service(Settings.load(data_dir=tmp_path), NOWHERE)
    service.ledger.close()
    service.projections.close()
    stores: Any = {name: Part(name, closed) for name in ("ledger", "projections", "keys")}
    return replace(service, **stores), [Part("reads", closed), Part("writes", closed)]


def test_stores_close_in_reverse_of_opening(tmp_path: Path) -> None:
    closed: list[str] = []
    asyncio.run(close_service(*parts(tmp_path, closed)))
    assert closed == IN_REVERSE


def test_start_that_fails_closes_what_was_opened(tmp_path: Path) -> None:
    closed: list[str] = []

    async def start() -> None:
        async with lifespan_of(*parts(tmp_path, closed))(FastAPI()):
            raise AssertionError("it must not start")

    with pytest.raises(StoreUnavailable):
        asyncio.run(start())
    assert closed == IN_REVERSE


def test_api_starts_without_the_packages_that_only_history_and_training_need() -> None:
    code = "import sys, app.main; print(*sys.modules.keys() & {'polars', 'deltalake', 'feast', 'implicit'})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert loaded.stdout.split() == []
