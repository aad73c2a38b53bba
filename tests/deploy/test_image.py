"""What the Dockerfile says is carried out here without Docker: its base, its health check, its user."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.dockerfile import Dockerfile
from tests.support.repository import ROOT
from tests.support.running import endcap_serve

IMAGE = Dockerfile.read((ROOT / "Dockerfile").read_text())
DIGEST = f"@sha256:{'0' * 64}"


def test_image_starts_from_the_same_bytes_every_time() -> None:
    assert IMAGE.all("FROM")
    assert IMAGE.unpinned() == []


@pytest.mark.parametrize(
    ("text", "unpinned"),
    [
        ("FROM python:3.11-slim", ["python:3.11-slim"]),
        (f"ARG BASE=python:3.11{DIGEST}\nFROM ${{BASE}} AS build\nFROM build", []),
        (f"FROM python:3.11{DIGEST} AS build\nFROM python:3.11", ["python:3.11"]),
        ("ARG BASE=python:3.11\nFROM $BASE", ["$BASE"]),
        ("ARG BASE\nFROM $BASE", ["$BASE"]),
        (f"FROM python:3.11{DIGEST[:-1]}", [f"python:3.11{DIGEST[:-1]}"]),
    ],
)
def test_base_that_may_be_another_tomorrow_is_found(text: str, unpinned: list[str]) -> None:
    assert Dockerfile.read(text).unpinned() == unpinned


def test_health_check_needs_no_model_and_no_proxy(tmp_path: Path, valkey: str) -> None:
    with endcap_serve(tmp_path, valkey) as address:
        assert is_healthy(int(address.rpartition(":")[2]))
    assert not is_healthy(int(address.rpartition(":")[2])), "nobody listens any more"


def is_healthy(port: int) -> bool:
    """What the health check says of a server on this port."""
    _python, *words = IMAGE.command("HEALTHCHECK")
    here = [re.sub(r"\b8000\b", str(port), word) for word in words]
    # Docker passes the proxy of its user's configuration on to containers.
    done = subprocess.run(
        [sys.executable, *here], env={"http_proxy": "http://127.0.0.1:9"}, stderr=subprocess.DEVNULL, timeout=30
    )
    return done.returncode == 0


def test_user_of_the_image_is_a_number_that_a_cluster_can_check() -> None:
    [user] = IMAGE.all("USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
