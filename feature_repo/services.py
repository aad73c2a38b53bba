"""Which features are read together: the customer's for a decision, the product's for training."""

from collections.abc import Sequence

from feast import FeatureService, FeatureView

from app.feature_fields import DECISION_SERVICE, PRODUCT_SERVICE, PRODUCT_STATISTICS


def feature_services(views: Sequence[FeatureView]) -> list[FeatureService]:
    """`decision_v1` over the customer views, `products_v1` over the product view."""
    customer_views = [view for view in views if view.name != PRODUCT_STATISTICS]
    product_views = [view for view in views if view.name == PRODUCT_STATISTICS]
    return [
        FeatureService(
            name=DECISION_SERVICE,
            features=customer_views,
            description="All that a decision knows of a customer.",
        ),
        FeatureService(
            name=PRODUCT_SERVICE,
            features=product_views,
            description="Sales facts of a product, for training.",
        ),
    ]
