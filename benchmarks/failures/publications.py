"""Whether publishing under load fails no answer, and whether damaged bundles are refused by the name of the file."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import orjson

from app.model.bundle import POINTER, current_version
from app.settings import Settings
from benchmarks.support.questions import known_customers
from benchmarks.support.servers import Server, Service, endcap_up, status_of
from benchmarks.support.traffic import Answer, traffic

PER_S = 100.0
LIVE_TIMEOUT_S = 30.0
SWAPPED = ("popularity.npy", "repeat_rate.npy")
"""Two files of one shape and type: numpy would load either in the other's place."""


@dataclass(slots=True)
class Copies:
    """Bundles made from one sound bundle under names of their own; hard links, as nobody writes to a bundle."""

    bundles_dir: Path
    source: str
    versions: list[str] = field(default_factory=list)

    def make(self, *, change: Callable[[Path], None] | None = None) -> str:
        """A copy that is not yet published; `change` may then damage its folder."""
        version = f"{self.source}-{len(self.versions):03d}"
        folder = self.bundles_dir / f".tmp-{version}"
        shutil.copytree(self.bundles_dir / self.source, folder, copy_function=os.link)
        manifest = orjson.loads((folder / "manifest.json").read_bytes())
        rewrite(folder / "manifest.json", orjson.dumps(manifest | {"version": version}))
        if change is not None:
            change(folder)
        folder.rename(self.bundles_dir / version)
        self.versions.append(version)
        return version

    def publish(self, version: str) -> None:
        """Moves the pointer in one step."""
        waiting = self.bundles_dir / ".tmp-pointer"
        waiting.write_text(version)
        waiting.replace(self.bundles_dir / POINTER)

    def remove(self) -> None:
        """Points to the source again and deletes all copies."""
        self.publish(self.source)
        for version in self.versions:
            shutil.rmtree(self.bundles_dir / version)


@contextmanager
def copies_of_live_bundle(settings: Settings) -> Iterator[Copies]:
    """Copies of the bundle that is live now; afterwards everything is as it was."""
    copies = Copies(settings.bundles_dir, current_version(settings.bundles_dir))
    try:
        yield copies
    finally:
        copies.remove()


def rewrite(path: Path, content: bytes) -> None:
    """Puts a new file in the place of a hard link."""
    path.unlink()
    path.write_bytes(content)


def publish_under_load(settings: Settings, *, count: int) -> dict[str, object]:
    """One publication after the other, each as soon as the one before is live."""
    with copies_of_live_bundle(settings) as copies, endcap_up(settings.data_dir) as service:
        start_bytes = _resident(service)
        with traffic(service.server, known_customers(settings), per_s=PER_S) as seen:
            live_after_s = []
            for _ in range(count):
                version = copies.make()
                copies.publish(version)
                live_after_s.append(_wait_until_live(service, version))
            sleep(1)
        end_bytes = _resident(service)
        decisions = sorted((answer for answer in seen.answers if answer.is_decision), key=lambda one: one.sent_at)
        return {
            "publications": count,
            "live_after_s": {"mean": round(sum(live_after_s) / count, 2), "max": round(max(live_after_s), 2)},
            **_decision_facts(decisions, [copies.source, *copies.versions]),
            "failed_answers": sum(answer.status not in (200, 202) for answer in seen.answers),
            "resident_mib": {"start": round(start_bytes / 2**20), "end": round(end_bytes / 2**20)},
        }


def _resident(service: Service) -> int:
    return Server(service.server.port, service.part("serve")).resident_bytes()


def _decision_facts(decisions: Sequence[Answer], published: Sequence[str]) -> dict[str, object]:
    position = {version: number for number, version in enumerate(published)}
    known = [answer for answer in decisions if answer.model_version in position]
    taken_ms = sorted(answer.taken_s * 1000 for answer in decisions)
    return {
        "decisions": len(decisions),
        "versions_seen": len({answer.model_version for answer in known}),
        "answers_naming_no_published_version": len(decisions) - len(known),
        "answers_going_back_a_version": _steps_back([(one, position[str(one.model_version)]) for one in known]),
        "p50_ms": round(taken_ms[len(taken_ms) // 2], 2),
        "p99_ms": round(taken_ms[int(0.99 * len(taken_ms))], 2),
        "max_ms": round(taken_ms[-1], 1),
    }


def _steps_back(placed: Sequence[tuple[Answer, int]]) -> int:
    """How many answers name an older version than an answer that was complete before they were sent."""
    finished = sorted(placed, key=lambda one: one[0].answered_at)
    steps_back = newest = done = 0
    for answer, version in sorted(placed, key=lambda one: one[0].sent_at):
        while done < len(finished) and finished[done][0].answered_at <= answer.sent_at:
            newest = max(newest, finished[done][1])
            done += 1
        steps_back += version < newest
    return steps_back


def _wait_until_live(service: Service, version: str) -> float:
    started = monotonic()
    while monotonic() - started < LIVE_TIMEOUT_S:
        if _ready(service.server).get("model_version") == version:
            return monotonic() - started
        sleep(0.02)
    raise RuntimeError(
        f"bundle {version} did not go live: {_ready(service.server)} {service.log_path.read_text()[-3000:]}"
    )


def _ready(server: Server) -> dict[str, str]:
    status, body = status_of(server, "/readyz")
    answer: dict[str, str] = orjson.loads(body) if status else {}
    return answer


def refuse_damage(settings: Settings) -> dict[str, object]:
    """Publishes every kind of damage to every file, then a sound bundle again."""
    cases = list(_cases(settings.bundles_dir / current_version(settings.bundles_dir)))
    missed: list[str] = []
    with copies_of_live_bundle(settings) as copies, endcap_up(settings.data_dir) as service:
        with traffic(service.server, known_customers(settings), per_s=PER_S) as seen:
            for name, names, change in cases:
                version = copies.make(change=change)
                copies.publish(version)
                if not _is_refused(service, copies.source, version, names):
                    missed.append(f"{name}: {_ready(service.server)}")
            sent_at = monotonic()
            sound = copies.make()
            copies.publish(sound)
            sound_after_s = _wait_until_live(service, sound)
        before = [answer for answer in seen.answers if answer.is_decision and answer.answered_at < sent_at]
        return {
            "damaged_bundles": len(cases),
            "refused_by_file_name": len(cases) - len(missed),
            "missed": missed,
            "decisions_meanwhile": len(before),
            "of_the_old_version": sum(answer.model_version == copies.source for answer in before),
            "failed_answers": sum(answer.status not in (200, 202) for answer in seen.answers),
            "sound_bundle_live_after_s": round(sound_after_s, 2),
        }


def _is_refused(service: Service, old: str, version: str, names: Sequence[str]) -> bool:
    """True once /readyz and the log tell one of the files' names while the old version serves on."""
    deadline = monotonic() + LIVE_TIMEOUT_S
    while monotonic() < deadline:
        ready = _ready(service.server)
        if ready.get("model_version") != old:
            return False
        if version in ready.get("detail", "") and any(name in ready["detail"] for name in names):
            return any(_tells(line, version, names) for line in service.log_lines())
        sleep(0.05)
    return False


def _tells(line: dict[str, object], version: str, names: Sequence[str]) -> bool:
    return line.get("model_version") == version and any(name in str(line.get("detail")) for name in names)


def _cases(folder: Path) -> Iterator[tuple[str, Sequence[str], Callable[[Path], None]]]:
    """What is done, the file names of which one must be named, and the change itself."""
    for path in sorted(folder.iterdir()):
        name = path.name
        yield f"truncated {name}", [name], partial(_rewritten, name=name, change=_truncated)
        if name != "manifest.json":  # a flipped bit in there may be anywhere, in a figure that nobody reads
            yield f"flipped bit in {name}", [name], partial(_rewritten, name=name, change=_flipped)
        yield f"missing {name}", [name], partial(_removed, name=name)
    yield "swapped files", SWAPPED, _swap


def _removed(folder: Path, *, name: str) -> None:
    (folder / name).unlink()


def _rewritten(folder: Path, *, name: str, change: Callable[[bytes], bytes]) -> None:
    rewrite(folder / name, change((folder / name).read_bytes()))


def _truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _swap(folder: Path) -> None:
    one, other = (folder / name for name in SWAPPED)
    first, second = one.read_bytes(), other.read_bytes()
    rewrite(one, second)
    rewrite(other, first)
