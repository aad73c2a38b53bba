"""Tokens of persons: what is taken, and forgeries of every kind that are not."""

import base64
import hmac
import json
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from app.api.pages.tokens import LEEWAY_S, MAX_LIFETIME_S, InvalidToken, Person, Tokens
from app.stores.sql.access.keys import Grant
from app.stores.sql.access.publishable import Publishable, new_token_key

NOW_S = 1_800_000_000
ME = Person("900", "visitor-1")
CLAIMS: dict[str, Any] = {"aud": "endcap", "iat": NOW_S, "exp": NOW_S + 600, **ME._asdict()}


@cache
def pair() -> tuple[str, str]:
    return new_token_key()


@cache
def other_pair() -> tuple[str, str]:
    return new_token_key()


@cache
def rsa_private(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, bits)


@cache
def ed_private() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def a_grant(public_key: str | None = None, key_id: str = "key_1") -> Grant:
    return Grant(key_id, "web-shop", frozenset(), 5, Publishable(public_key or pair()[1], ("https://shop.example",)))


def signed(headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token with these claims instead, without those that are None."""
    kept = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return jwt.encode(kept, pair()[0], algorithm="ES256", headers=headers)


def person(token: str | bytes, grant: Grant | None = None, *, now_s: float = NOW_S) -> Person:
    raw = token.encode() if isinstance(token, str) else token
    return Tokens().person(raw, grant or a_grant(), now_s=now_s)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def with_header(header: dict[str, Any], signature: Callable[[bytes], bytes] = lambda signing: b"") -> str:
    """A token with any header at all, signed as one likes."""
    signing = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(CLAIMS).encode())}"
    return f"{signing}.{b64(signature(signing.encode()))}"


def hmac_with(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda signing: hmac.new(secret, signing, sha256).digest()


def tampered(**claims: Any) -> str:
    """A sound token whose claims were exchanged."""
    header, _, signature = signed().split(".")
    return f"{header}.{b64(json.dumps(CLAIMS | claims).encode())}.{signature}"


def swapped_signature() -> str:
    return ".".join([*signed().split(".")[:2], signed(customer_id="901").split(".")[2]])


def as_jwk_of_its_own() -> str:
    """Signed by a key that the token itself brings."""
    key = jwt.algorithms.ECAlgorithm.to_jwk(
        jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).prepare_key(other_pair()[1]), as_dict=True
    )
    return jwt.encode(CLAIMS, other_pair()[0], algorithm="ES256", headers={"jwk": key})


FORGERIES: dict[str, Callable[[], str]] = {
    "no algorithm": lambda: with_header({"alg": "none"}),
    "no algorithm, in capitals": lambda: with_header({"alg": "NONE", "typ": "JWT"}),
    "no algorithm with the signature of another": lambda: with_header({"alg": "none"}, lambda _: b"x" * 64),
    "no algorithm named": lambda: with_header({"typ": "JWT"}),
    "algorithm that is no text": lambda: with_header({"alg": ["ES256"]}),
    "HMAC with the public key": lambda: with_header({"alg": "HS256"}, hmac_with(pair()[1].encode())),
    "HMAC with the public key, trimmed": lambda: with_header({"alg": "HS256"}, hmac_with(pair()[1].strip().encode())),
    "HMAC with nothing": lambda: with_header({"alg": "HS256"}, hmac_with(b"")),
    "HMAC called ES256": lambda: with_header({"alg": "ES256"}, hmac_with(pair()[1].encode())),
    "RS256 by a key of the forger's": lambda: jwt.encode(CLAIMS, rsa_private(), algorithm="RS256"),
    "EdDSA by a key of the forger's": lambda: jwt.encode(CLAIMS, ed_private(), algorithm="EdDSA"),
    "signed by another client's key": lambda: jwt.encode(CLAIMS, other_pair()[0], algorithm="ES256"),
    "key that the token brings": as_jwk_of_its_own,
    "jku that leads to the forger": lambda: jwt.encode(
        CLAIMS, other_pair()[0], algorithm="ES256", headers={"jku": "https://forger.example/keys", "kid": "1"}
    ),
    "kid that leads into the file system": lambda: with_header(
        {"alg": "HS256", "kid": "../../../dev/null"}, hmac_with(b"")
    ),
    "kid with SQL": lambda: with_header({"alg": "ES256", "kid": "x' UNION SELECT 'k"}, lambda _: b"\0" * 64),
    "signature of zeros": lambda: with_header({"alg": "ES256"}, lambda _: b"\0" * 64),
    "empty signature": lambda: with_header({"alg": "ES256"}),
    "signature of another token": swapped_signature,
    "another customer put in": lambda: tampered(customer_id="901"),
    "longer life put in": lambda: tampered(exp=NOW_S + 3000),
    "critical header that nobody knows": lambda: signed(headers={"crit": ["x"], "x": "1"}),
    "payload left out": lambda: signed(headers={"b64": False, "crit": ["b64"]}),
    "no audience": lambda: signed(aud=None),
    "another service's audience": lambda: signed(aud="payments"),
    "several audiences": lambda: signed(aud=["payments", "endcap"]),
    "audience in capitals": lambda: signed(aud="ENDCAP"),
    "no end": lambda: signed(exp=None),
    "no beginning": lambda: signed(iat=None),
    "ended": lambda: signed(iat=NOW_S - 900, exp=NOW_S - LEEWAY_S),
    "issued in the future": lambda: signed(iat=NOW_S + LEEWAY_S + 1, exp=NOW_S + 700),
    "valid in the future": lambda: signed(nbf=NOW_S + LEEWAY_S + 1),
    "too long a life": lambda: signed(exp=NOW_S + MAX_LIFETIME_S + 1),
    "too long a life, begun long ago": lambda: signed(iat=NOW_S - 86_400),
    "end before the beginning": lambda: signed(iat=NOW_S, exp=NOW_S - 1),
    "end without a bound": lambda: signed(exp=float("inf")),
    "end that is no number": lambda: signed(exp=float("nan")),
    "end as text": lambda: signed(exp=str(NOW_S + 600)),
    "end that is a flag": lambda: signed(exp=True),
    "end beyond every float": lambda: signed(exp=10**400),
    "beginning below zero": lambda: signed(iat=-1, exp=600),
    "nobody": lambda: signed(customer_id=None, anonymous_id=None),
    "customer that is a number": lambda: signed(customer_id=900),
    "customer that is a list": lambda: signed(customer_id=["900"]),
    "customer without a letter": lambda: signed(customer_id="  "),
    "customer with a control character": lambda: signed(customer_id="900\x00"),
    "customer beyond the bound": lambda: signed(customer_id="9" * 129),
    "visitor beyond the bound": lambda: signed(anonymous_id="9" * 129),
    "claims that are a list": lambda: jwt.api_jws.PyJWS().encode(b"[]", pair()[0], algorithm="ES256"),
    "claims that are no JSON": lambda: jwt.api_jws.PyJWS().encode(b"{", pair()[0], algorithm="ES256"),
    "a megabyte": lambda: signed(more="x" * 1_000_000),
    "beyond 4 kB": lambda: signed(more="x" * 3200),
    "two parts": lambda: ".".join(signed().split(".")[:2]),
    "five parts, as one that is encrypted": lambda: signed() + ".x.y",
    "an API key": lambda: "endcap_" + "x" * 43,
    "no letters of base64": lambda: "§.§.§",
    "line ends in it": lambda: signed().replace(".", ".\r\n"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_token_is_refused(forgery: str) -> None:
    assert len(FORGERIES) >= 30
    with pytest.raises(InvalidToken):
        person(FORGERIES[forgery]())


def public_pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_sound_token_names_its_person() -> None:
    assert person(signed()) == ME
    assert person(signed(anonymous_id=None)) == Person("900", None)
    assert person(signed(customer_id=None)) == Person(None, "visitor-1")
    assert person(signed(customer_id=" 900 ")) == ME, "ids are trimmed as everywhere"


@pytest.mark.parametrize(("algorithm", "private_key"), [("EdDSA", ed_private), ("RS256", rsa_private)])
def test_token_of_a_registered_key_of_another_kind_is_taken_and_of_no_other(algorithm: str, private_key: Any) -> None:
    grant = a_grant(public_pem(private_key()))
    assert person(jwt.encode(CLAIMS, private_key(), algorithm=algorithm), grant) == ME
    others: dict[str, Any] = {"ES256": pair()[0], "EdDSA": ed_private(), "RS256": rsa_private(), "RS512": rsa_private()}
    for other in others.keys() - {algorithm}:
        with pytest.raises(InvalidToken):
            person(jwt.encode(CLAIMS, others[other], algorithm=other), grant)
    pem = private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for secret in (public_pem(private_key()).encode(), pem):
        with pytest.raises(InvalidToken):
            person(with_header({"alg": "HS256"}, hmac_with(secret)), grant)


def test_headers_that_name_keys_are_ignored() -> None:
    assert person(signed(headers={"kid": "another", "jku": "https://forger.example", "x5u": "https://x"})) == ME


def test_clocks_that_differ_a_little_do_no_harm() -> None:
    assert person(signed(iat=NOW_S + LEEWAY_S, nbf=NOW_S + LEEWAY_S)) == ME
    assert person(signed(), now_s=NOW_S + 600 + LEEWAY_S - 1) == ME
    assert person(signed(exp=NOW_S + MAX_LIFETIME_S)) == ME


def test_token_is_verified_once_for_each_key_and_ends_all_the_same() -> None:
    known, token = Tokens(), signed().encode()
    assert known.person(token, a_grant(), now_s=NOW_S) == ME
    # Verified again it would be refused: nothing is signed with this token key.
    assert known.person(token, a_grant(other_pair()[1]), now_s=NOW_S) == ME
    with pytest.raises(InvalidToken, match="signed"):
        known.person(token, a_grant(other_pair()[1], "key_2"), now_s=NOW_S)
    with pytest.raises(InvalidToken, match="ended"):
        known.person(token, a_grant(), now_s=NOW_S + 600 + LEEWAY_S)


def test_memory_for_tokens_is_bounded_and_holds_no_forged_one() -> None:
    known = Tokens(max_known=3)
    for number in range(10):
        known.person(signed(customer_id=str(number)).encode(), a_grant(), now_s=NOW_S)
        with pytest.raises(InvalidToken):
            known.person(tampered(customer_id=str(number)).encode(), a_grant(), now_s=NOW_S)
    assert len(known._known) == 3


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_nothing_but_invalid_token_comes_of_any_bytes(token: bytes) -> None:
    with pytest.raises(InvalidToken):
        person(token)


VALUES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5)
CLAIM_NAMES = ["iat", "exp", "nbf", "aud", "customer_id", "anonymous_id", "sub", "iss", "jti"]


@given(VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(st.text(), VALUES), st.sampled_from(CLAIM_NAMES))
def test_claims_of_any_type_end_in_a_person_or_a_refusal(value: Any, name: str) -> None:
    try:
        found = person(jwt.api_jws.PyJWS().encode(json.dumps(CLAIMS | {name: value}).encode(), pair()[0], "ES256"))
    except InvalidToken:
        return
    assert isinstance(found.customer_id or found.anonymous_id, str)
