"""Who a feature row belongs to: the join keys of all views."""

from feast import Entity, ValueType

CUSTOMER = Entity(
    name="customer",
    join_keys=["customer_id"],
    value_type=ValueType.STRING,
    description="A customer, by the retailer's own id.",
)
PRODUCT = Entity(
    name="product",
    join_keys=["product_id"],
    value_type=ValueType.STRING,
    description="A product, by the retailer's own id.",
)
