"""Terms of offers as the ledger holds them: what breaks today's rules is read as terms that give nothing."""

from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import ValidationError

from app.offers.terms.documents import fault_of
from app.offers.terms.terms import Amount, OfferTerms

_NEVER = datetime(1970, 1, 2, tzinfo=UTC)


class UnusableTerms(OfferTerms):
    """What stands for stored terms that nobody can compute with: long over, so that nothing is given by mistake."""

    document: Mapping[str, object]
    fault: str


def stored_terms(document: Mapping[str, object]) -> OfferTerms:
    """The terms of a stored document; UnusableTerms where it breaks the rules that documents obey now."""
    try:
        return OfferTerms.model_validate(document)
    except ValidationError as error:
        return UnusableTerms(
            name="an offer that cannot be used",
            discount=Amount(type="amount", amount_minor=1),
            valid_until=_NEVER,
            document=document,
            fault=fault_of(error),
        )


def document_of(terms: OfferTerms) -> Mapping[str, object]:
    """The terms as a JSON document, unusable ones just as they are stored."""
    return terms.document if isinstance(terms, UnusableTerms) else terms.model_dump(mode="json")
