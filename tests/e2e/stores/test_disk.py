"""A disk without room: decisions go on, writes are refused, nothing ends, and all comes back by itself."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from app.stores.redis.keys import pack_command
from app.stores.redis.pipelined import PipelinedRedis
from app.stores.redis.server import embedded
from app.stores.redis.server.disk import Disk
from tests.e2e.processes.test_up import assert_one_line, refusal
from tests.e2e.stores.test_failures import STORE_FLAGS, copied_world, decide, times_in_history, view_of
from tests.support.repository import skip_unless_ci
from tests.support.running import Up, bare_environment, command_of, endcap, endcap_up
from tests.support.server import wait_until
from tests.support.world import END, World, customer, product

MB = 2**20


@contextmanager
def small_disk(folder: Path, **options: str) -> Iterator[Path]:
    """A file system of its own in memory, mounted while the block runs; skips where nothing may be mounted."""
    folder.mkdir()
    words = ",".join(f"{name}={value}" for name, value in options.items())
    mount = ["mount", "-t", "tmpfs", "-o", words, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        skip_unless_ci("needs a small disk: run the tests as root, or under `unshare --user --map-root-user --mount`")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(file: Path, *, but: int = 0) -> None:
    """Writes zeros until not one byte more goes in, then takes so many bytes back."""
    with file.open("ab", buffering=0) as growing:
        for size in (MB, 4096, 1):
            try:
                while True:
                    growing.write(bytes(size))
            except OSError:
                continue
        growing.truncate(growing.tell() - but)


def send_one(up: Up) -> dict[str, Any]:
    """What became of one new event."""
    event = view_of(product("tea", 1), anonymous_id=uuid4().hex)
    return {**up.send([event])[0], "id": event["id"]}


def ailing(data_dir: Path) -> str:
    """What `endcap doctor` says, which must exit with 1."""
    command = endcap("doctor", "--data-dir", str(data_dir))
    done = subprocess.run(command, env=bare_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done
    return "\n".join(line for line in done.stdout.splitlines() if line.startswith("FAIL"))


def test_full_disk_costs_writes_but_no_answer_and_no_process(trained_world: World, tmp_path: Path) -> None:
    known = {"customer_id": customer("coffee", 1), "context": {"now": END.isoformat()}}
    with small_disk(tmp_path / "disk", size="64m") as disk, copied_world(trained_world, disk / "var") as up:
        before = send_one(up)
        assert before["status"] == "accepted"
        api = up.parts()["serve"]
        fill(disk / "ballast")
        wait_until(lambda: send_one(up).get("code") == "store_unavailable", "events are refused")
        for _ in range(300):
            assert len(decide(up, **known)["propositions"]) == 10
            assert send_one(up)["code"] == "store_unavailable"
        wait_until(lambda: not STORE_FLAGS & set(decide(up, **known)["degraded"]), "decisions have their features")
        body = {"terms": {"name": "Spring", "currency": "EUR"}}
        answer = up.client.post("/v1/campaigns", json=body, headers={"Idempotency-Key": uuid4().hex})
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable"), answer.text
        assert "FAIL data directory: the file system of" in ailing(up.data_dir)
        (disk / "ballast").unlink()
        wait_until(lambda: send_one(up)["status"] == "accepted", "events are taken again", timeout_s=5)
        wait_until(lambda: before["id"] in times_in_history(up.data_dir, {before["id"]}), "none that was taken is lost")
        assert up.process.poll() is None
        assert up.parts()["serve"] == api


def test_answer_of_a_valkey_that_could_not_write_counts_for_nothing(tmp_path: Path) -> None:
    async def scenario(disk: Path, url: str) -> None:
        redis = PipelinedRedis(url)
        files = Disk(disk, redis)
        fill(disk / "ballast")
        # Two pages, for which the last one's rest is too small.
        assert await redis.ask(pack_command(b"SET", b"a", bytes(8192)), 1) == [b"OK"]
        with pytest.raises(OSError, match="could not write"):
            await files.sync()
        (disk / "ballast").unlink()
        for _ in range(300):
            with suppress(OSError):
                await files.sync()
                break
            await asyncio.sleep(0.02)
        await files.sync()
        await files.aclose()
        await redis.aclose()

    with small_disk(tmp_path / "disk", size="16m") as disk:
        endpoint, process = embedded.start(disk)
        try:
            asyncio.run(scenario(disk, endpoint.url))
        finally:
            embedded.stop(process)


def test_too_few_inodes_cost_neither_answer_nor_event(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size="64m", nr_inodes="200") as disk, endcap_up(disk / "var") as up:
        before = send_one(up)
        wait_until(lambda: times_in_history(up.data_dir, {before["id"]}), "the worker has made its files")
        ballast = take_inodes(disk)
        meanwhile = send_one(up)
        assert meanwhile["status"] == "accepted"
        assert decide(up, customer_id="c1")["degraded"]
        assert "no inode is free" in ailing(up.data_dir)
        for file in ballast:
            file.unlink()
        wait_until(lambda: times_in_history(up.data_dir, {meanwhile["id"]}), "the worker goes on by itself")


def take_inodes(disk: Path) -> list[Path]:
    """Empty files, as many as there can be."""
    files: list[Path] = []
    try:
        while True:
            file = disk / f"empty-{len(files)}"
            file.touch()
            files.append(file)
    except OSError:
        return files


def test_start_with_little_room_answers_and_ends_the_valkey_left_behind(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size="64m") as disk:
        with endcap_up(disk / "var") as up:
            before = send_one(up)
            wait_until(lambda: times_in_history(up.data_dir, {before["id"]}), "the event is in the history")
            left = up.parts()["valkey-server"]
            os.kill(left, signal.SIGSTOP)  # so that it does not end with its parent
            up.process.kill()
        fill(disk / "ballast", but=MB)
        begun = monotonic()
        with endcap_up(disk / "var") as up:
            assert monotonic() - begun < 25
            assert not command_of(left)
            assert send_one(up)["code"] == "store_unavailable"
            fill(disk / "rest")
            assert_one_line(refusal("--port", "0", "--data-dir", str(disk / "var")), "in use")
            (disk / "ballast").unlink()
            wait_until(lambda: send_one(up)["status"] == "accepted", "events are taken", timeout_s=5)


def test_start_without_any_room_is_refused_in_one_line(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size="8m") as disk:
        (disk / "var").mkdir()
        fill(disk / "ballast")
        assert_one_line(refusal("--port", "0", "--data-dir", str(disk / "var")), str(disk / "var"), "No space left")


def test_read_only_disk_is_refused_in_one_line_and_doctor_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size="64m") as disk:
        (disk / "var").mkdir()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert_one_line(refusal("--port", "0", "--data-dir", str(disk / "var")), str(disk / "var"), "Read-only")
        assert "FAIL data directory: the file system of" in ailing(disk / "var")


def test_import_for_which_the_disk_has_no_room_is_refused_in_one_line(tmp_path: Path) -> None:
    random, file = Random(0), tmp_path / "products.csv"
    rows = "\n".join(f"p{number},{random.randbytes(16).hex()}" for number in range(30_000))
    file.write_text(f"product_id,name\n{rows}\n")
    with small_disk(tmp_path / "disk", size="128k") as disk:
        shown = refusal("--products", str(file), "--data-dir", str(disk), command="import")
        # The bar of its progress stands above.
        assert_one_line(shown.splitlines(keepends=True)[-1], str(disk), "No space left", "make room")
