"""What a publishable key has beyond its hash: the public key of its persons' tokens, and the origins of its pages."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.errors import BadInput

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    PublicKey = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

PREFIX = "endcap_pub_"
"""So that everybody sees that the key may be where it was found."""
PER_SECOND = 5
"""Requests of one person, where the key sets no rate of its own."""
RSA_BITS = 2048
"""The shortest RSA key that is taken, as RFC 7518 demands for RS256."""
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Where a page may come from without TLS: the developer's own machine."""
_HOST = re.compile(r"\[::1\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9])?")
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Publishable:
    """`token_key`: PEM of a public key. `origins` as browsers send them; none: the key is for apps, and for no page."""

    token_key: str
    origins: tuple[str, ...] = ()


def new_token_key() -> tuple[str, str]:
    """A private key for ES256 in PEM, to be shown once, and its public half."""
    # Here and below not at the top: commands that have to do with no key would load it as well.
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private_key = generate_private_key(SECP256R1())
    pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode(), _pem_of(private_key.public_key())


def checked_token_key(pem: bytes) -> str:
    """The public key in PEM as it is kept; raises BadInput for all that signs no token that is taken."""
    if b"PRIVATE KEY" in pem:
        raise BadInput(
            "the token key is a private key, which stays on your server: give its public half, as from"
            " `openssl pkey -in private.pem -pubout`"
        )
    public_key, _ = token_key_of(pem)
    return _pem_of(public_key)


def token_key_of(pem: bytes) -> "tuple[PublicKey, str]":
    """The key and the one algorithm of its tokens, which nothing but the key decides; raises BadInput."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise BadInput("the token key is no public key in PEM, which begins with -----BEGIN PUBLIC KEY-----") from None
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key, "ES256"
    if isinstance(key, Ed25519PublicKey):
        return key, "EdDSA"
    if isinstance(key, RSAPublicKey) and key.key_size >= RSA_BITS:
        return key, "RS256"
    size = f" of {key.key_size} bits" if isinstance(key, RSAPublicKey) else ""
    raise BadInput(
        f"a token key of the type {type(key).__name__}{size} is not taken: give one of the curve P-256 (ES256), of"
        f" Ed25519 (EdDSA), or of RSA with {RSA_BITS} bits or more (RS256)"
    )


def checked_origin(text: str) -> str:
    """The origin as browsers send it; raises BadInput."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise BadInput(f"origin {text!r} cannot be read: {error}") from None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    is_secure = parts.scheme == "https" or (parts.scheme == "http" and host in LOCAL_HOSTS)
    # Compared as a whole: nothing but these three parts may be in it.
    written = f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")
    if not is_secure or not _HOST.fullmatch(host) or written != text.lower():
        raise BadInput(
            f"origin {text!r} cannot be used: give scheme, host and port alone, as https://shop.example, with https"
            f" (http only for {', '.join(sorted(LOCAL_HOSTS))}), without a path, in Punycode, and no `*`"
        )
    return f"{parts.scheme}://{host}" if port == _DEFAULT_PORTS[parts.scheme] else written


def _pem_of(key: "PublicKey") -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
