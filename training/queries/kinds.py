"""The kinds of question that training tells apart, as serving does."""

from app.decision.customer.kinds import QUESTION_KINDS, kind_of

__all__ = ["QUESTION_KINDS", "kind_of"]
