"""Words of ids, names and categories that say: no goods, but postage, a deposit, a bag, a discount or a correction."""

WHOLE = (
    "post", "postage", "dot", "dotcom postage", "shipping", "shipping handling", "shipping fee", "delivery",
    "delivery fee", "carriage", "freight", "handling", "c2", "discount", "voucher", "coupon", "gift card", "deposit",
    "bag", "bags", "bank charges", "fee", "fees", "surcharge", "adjustment", "adjust", "rounding", "tip", "tips",
    "gratuity", "service charge", "total", "subtotal", "tax", "vat", "donation", "manual", "m", "amazonfee", "sample",
    "samples", "cashback", "open item", "fuel", "petrol", "diesel", "versand", "versandkosten", "porto", "rabatt",
    "pfand", "trinkgeld", "muster", "kulanz", "frais", "remise", "pourboire", "envio", "envío", "descuento",
    "propina", "spedizione", "sconto", "verzending", "korting", "fooi", "frakt", "fragt", "dostawa",
)  # fmt: skip
"""What says so only where it is all of the text: a deposit box and a manual can opener are goods."""

PARTS = (
    "postage", "(?:shipping|delivery|handling|postal) (?:fee|cost|charge|rate)s?", "shipping (?:and )?handling",
    "(?:bank|card|service|transaction|booking|restocking|cancellation|payment|order|bag) (?:fee|charge|levy)s?",
    "surcharge", "carrier bags?", "bags? for life", "(?:bottle|can|crv|keg) deposits?",
    "gift (?:card|voucher|certificate)s?", "store credit", "vouchers?", "coupons?",
    "(?:order|staff|loyalty) discount", "free samples?", "price adjustment", "rounding difference", "donations?",
    "misc sales", "test product", "sales tax", "gasoline", "unleaded", r"\w*versandkosten", "lieferkosten",
    "portokosten", r"\w*gebühr(?:en)?", r"\w*pfand", "leergut", r"\w*gutscheine?", "geschenkkarten?",
    "(?:trage|plastik|papier)(?:tasche|tüte)n?", "frais de (?:port|livraison|dossier)", "consigne", "carte cadeau",
    "bon d achat", "sac de caisse", "gastos de env[ií]o", "costes? de env[ií]o", "tarjetas? regalo",
    "spese di (?:spedizione|trasporto)", "buon[oi] regalo", "verzendkosten", "statiegeld", "cadeaubon", "draagtas",
    "portes de envio", "cartão presente", "koszty? wysyłki", "kaucja", "karta podarunkowa",
)  # fmt: skip
"""Regular expressions of whole words that say so anywhere in a text."""

OTHERS = (
    "box(?:es)?", "holders?", "envelopes?", "wallets?", "cases?", "tins?", "sleeves?", "books?", "organi[sz]ers?",
)  # fmt: skip
"""The same, of what is goods in spite of such a part: gift card boxes."""
