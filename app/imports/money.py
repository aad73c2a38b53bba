"""How many decimals each currency has (ISO 4217): the step from major to minor units."""

_NONE = (
    "BIF",
    "CLP",
    "DJF",
    "GNF",
    "ISK",
    "JPY",
    "KMF",
    "KRW",
    "PYG",
    "RWF",
    "UGX",
    "VND",
    "VUV",
    "XAF",
    "XOF",
    "XPF",
)
_THREE = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")

MINOR_DIGITS_MOST = 2
MINOR_DIGITS = dict.fromkeys(_NONE, 0) | dict.fromkeys(_THREE, 3)
"""Currencies with other than `MINOR_DIGITS_MOST` decimals."""
