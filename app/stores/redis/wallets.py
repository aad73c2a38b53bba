"""A customer's wallet as it lies in Redis: one JSON document, packed by the projections, read by decisions."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson

from app.domain import Wallet, WalletCoupon

MADE = b""
"""Field of the hash of remaining budgets that is there once the projections were made."""


_coupon: Callable[[list[Any]], WalletCoupon] = partial(tuple.__new__, WalletCoupon)
"""What WalletCoupon._make does, in a third of the time."""


def pack_wallet(wallet: Wallet) -> bytes:
    """All but the remaining budgets, which all customers share."""
    # orjson takes plain tuples only.
    coupons = [tuple(coupon) for coupon in wallet.coupons]
    return orjson.dumps([coupons, wallet.tier, sorted(wallet.activated), wallet.redeemed_count, wallet.campaign_count])


def joined_wallets(each: Sequence[Wallet | None]) -> Wallet | None:
    """The wallet of one person out of those of their customer ids; None where one is not known."""
    wallets = [wallet for wallet in each if wallet is not None]
    if len(wallets) < len(each) or not wallets:
        return None
    if len(wallets) == 1:
        return wallets[0]
    return Wallet(
        [coupon for wallet in wallets for coupon in wallet.coupons],
        next((wallet.tier for wallet in wallets if wallet.tier is not None), None),
        frozenset().union(*(wallet.activated for wallet in wallets)),
        sum(wallet.redeemed_count for wallet in wallets),
        sum(wallet.campaign_count for wallet in wallets),
        wallets[0].remaining_minor,
    )


def unpack_wallet(packed: bytes | None, remaining: Sequence[bytes]) -> Wallet | None:
    """The wallet that `pack_wallet` packed, empty where there is none; None while the projections were not made.

    `remaining` is what HGETALL answered: names and values in turn.
    """
    left = dict(zip(remaining[::2], remaining[1::2], strict=True))
    if MADE not in left:
        return None
    # Without MADE, whose name is empty.
    remaining_minor = {name.decode(): int(minor) for name, minor in left.items() if name}
    if packed is None:
        return Wallet((), remaining_minor=remaining_minor)
    coupons, tier, activated, redeemed_count, campaign_count = orjson.loads(packed)
    held = list(map(_coupon, coupons))
    return Wallet(held, tier, frozenset(activated), redeemed_count, campaign_count, remaining_minor)
