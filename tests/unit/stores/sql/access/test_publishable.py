"""What a publishable key may be made with: token keys that sign safely, and origins that browsers send."""

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from app.errors import BadInput
from app.stores.sql.access.publishable import checked_origin, checked_token_key, new_token_key, token_key_of

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
)


def public_pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_new_pair_is_for_es256_and_fits_together() -> None:
    private_pem, public = new_token_key()
    private_key = load_pem_private_key(private_pem.encode(), None)
    assert isinstance(private_key, ec.EllipticCurvePrivateKey)
    assert public_pem(private_key) == public.encode()
    assert token_key_of(public.encode())[1] == "ES256"
    assert new_token_key()[0] != private_pem


def test_key_that_the_shop_has_is_taken_with_the_algorithm_of_its_kind() -> None:
    kinds: list[tuple[PrivateKey, str]] = [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
        (rsa.generate_private_key(65_537, 2048), "RS256"),
    ]
    for key, algorithm in kinds:
        assert checked_token_key(b"\n" + public_pem(key)) == public_pem(key).decode()
        assert token_key_of(public_pem(key))[1] == algorithm


def test_other_keys_learn_what_to_give() -> None:
    others: list[PrivateKey] = [
        rsa.generate_private_key(65_537, 1024),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed448.Ed448PrivateKey.generate(),
        dsa.generate_private_key(2048),
    ]
    for key in others:
        with pytest.raises(BadInput, match="P-256"):
            checked_token_key(public_pem(key))
    with pytest.raises(BadInput, match="1024 bits"):
        checked_token_key(public_pem(others[0]))
    for pem in (b"", b"secret", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(BadInput, match="BEGIN PUBLIC KEY"):
            checked_token_key(pem)


def test_private_key_is_refused_and_not_repeated() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    for form in (PrivateFormat.PKCS8, PrivateFormat.OpenSSH):
        pem = key.private_bytes(Encoding.PEM, form, NoEncryption())
        with pytest.raises(BadInput, match="public half") as refused:
            checked_token_key(pem)
        assert pem.decode().splitlines()[1] not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "sent_by_browsers"),
    [
        ("https://shop.example", "https://shop.example"),
        ("HTTPS://Shop.Example", "https://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("https://shop.example:8443", "https://shop.example:8443"),
        ("https://xn--mll-hoa.example", "https://xn--mll-hoa.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:5173", "http://[::1]:5173"),
    ],
)
def test_origin_is_kept_as_browsers_send_it(given: str, sent_by_browsers: str) -> None:
    assert checked_origin(given) == sent_by_browsers


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "null", "", "shop.example", "https://", "https://*", "https://*.shop.example", "//shop.example"),
        *("http://shop.example", "http://localhost.shop.example", "http://192.168.0.1", "ftp://localhost"),
        *("https://shop.example/", "https://shop.example/cart", "https://shop.example?x", "https://shop.example#x"),
        *("https://shop.example?", "https://shop.example:", "https://shop.example:0443", "https://shop.example:x"),
        *(
            "https://shop.example:99999",
            "https://me@shop.example",
            "https://me:pw@shop.example",
            "https://müll.example",
        ),
        *("https://shop.example https://other.example", "https://shop.example\n", "https://shop .example"),
        *("https://[shop.example", "javascript:alert(1)", "https://shop.example\\.other.example", "https://.example"),
    ],
)
def test_origin_that_no_page_of_the_shop_has_is_refused(origin: str) -> None:
    with pytest.raises(BadInput, match="origin"):
        checked_origin(origin)
