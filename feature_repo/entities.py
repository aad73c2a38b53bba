"""Who a feature row belongs to: the join keys of all views."""

from feast import Entity, ValueType

CUSTOMER = Entity(
    name="customer",
    join_keys=["customer_id"],
    # The type is part of every online key; app/stores/feast/online_row.py writes the same bytes.
    value_type=ValueType.STRING,
    description="A customer, by the retailer's own id.",
)
PRODUCT = Entity(
    name="product",
    join_keys=["product_id"],
    value_type=ValueType.STRING,
    description="A product, by the retailer's own id.",
)
