"""The Dockerfile as its instructions, for the tests that carry out what it says."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PINNED = re.compile(r"[\w./:-]+@sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """The instructions in order, each its word and what follows it on joined lines."""

    instructions: Sequence[tuple[str, str]]

    @classmethod
    def read(cls, text: str) -> "Dockerfile":
        """Without comments."""
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
        return cls([(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)])

    def all(self, word: str) -> list[str]:
        """What follows each instruction of this kind."""
        return [rest for name, rest in self.instructions if name == word]

    def command(self, word: str) -> list[str]:
        """The JSON words that end the last instruction of this kind."""
        words: list[str] = json.loads(self.all(word)[-1].partition("[")[2].join(("[", "")))
        return words

    def environment(self) -> Mapping[str, str]:
        """Every variable that ENV sets."""
        return dict(pair.split("=", 1) for line in self.all("ENV") for pair in shlex.split(line))

    def unpinned(self) -> list[str]:
        """The images it starts from that may be another tomorrow: named without a digest, and no stage of its own."""
        arguments = dict(line.split("=", 1) for line in self.all("ARG") if "=" in line)
        stages: set[str] = set()
        found = []
        for line in self.all("FROM"):
            image, *rest = line.split()
            named = re.sub(r"\$\{?(\w+)\}?", lambda match: arguments.get(match[1], ""), image)
            if named not in stages and not PINNED.fullmatch(named):
                found.append(image)
            stages |= set(rest[1:2])
        return found
