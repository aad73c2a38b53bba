"""Certificates of a private authority, made with the machine's own OpenSSL, for tests over TLS."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.repository import skip_unless_ci


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files of an authority that nobody else knows, and of a server on loopback that it vouches for."""

    authority: Path
    certificate: Path
    key: Path


def private_certificates(folder: Path) -> Certificates:
    """New ones, in this folder; where there is no OpenSSL only CI insists."""
    if shutil.which("openssl") is None:
        skip_unless_ci("no OpenSSL on this machine (Debian, Ubuntu: apt-get install openssl)")
    made = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    new_key = "-newkey rsa:2048 -nodes -days 2"
    for words in (
        f"req -x509 {new_key} -keyout {folder}/ca.key -out {made.authority} -subj /CN=private-authority",
        f"req -x509 {new_key} -keyout {made.key} -out {made.certificate} -subj /CN=localhost "
        f"-CA {made.authority} -CAkey {folder}/ca.key -addext subjectAltName=IP:127.0.0.1 "
        "-addext basicConstraints=critical,CA:FALSE",
    ):
        subprocess.run(["openssl", *words.split()], check=True, capture_output=True)
    return made
