"""Which kind of question a query is: what it names decides how well the answer can be known."""

from app.domain import Query

NO_BASKET, BASKET_BEGUN, PRODUCT_PAGE, SESSION = "no_basket", "basket_begun", "product_page", "session"
QUESTION_KINDS = (NO_BASKET, BASKET_BEGUN, PRODUCT_PAGE, SESSION)


def kind_of(query: Query) -> str:
    """One of QUESTION_KINDS by what the query itself names; a basket outweighs views, and one view is a page."""
    if query.basket:
        return BASKET_BEGUN
    if not query.recent:
        return NO_BASKET
    return PRODUCT_PAGE if len(query.recent) == 1 else SESSION
