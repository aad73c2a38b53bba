"""From field definitions to Feast's views: types, descriptions with units, owners."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureView, Field, FileSource, PushSource
from feast.types import Array, Float32, Float64, Int64, String

from app.feature_fields import (
    ACTIVITY,
    CUSTOMER_ACTIVITY,
    CUSTOMER_PROFILE,
    CUSTOMER_PURCHASES,
    PRODUCT_STATISTICS,
    PROFILE,
    PURCHASES,
    STATISTICS,
    Feature,
    FieldType,
)
from feature_repo.entities import CUSTOMER, PRODUCT
from feature_repo.sources import activity_source, file_source

_TYPES = {
    FieldType.F64: Float64,
    FieldType.F32: Float32,
    FieldType.I64: Int64,
    FieldType.STR: String,
    FieldType.STR_LIST: Array(String),
    FieldType.F32_LIST: Array(Float32),
    FieldType.F64_LIST: Array(Float64),
}


def feature_views(features_dir: Path) -> list[FeatureView]:
    """All views over the tables in `features_dir`, batch views first."""
    return [
        _view(CUSTOMER_PROFILE, CUSTOMER, PROFILE, source=file_source(features_dir, CUSTOMER_PROFILE)),
        _view(CUSTOMER_PURCHASES, CUSTOMER, PURCHASES, source=file_source(features_dir, CUSTOMER_PURCHASES)),
        _view(PRODUCT_STATISTICS, PRODUCT, STATISTICS, source=file_source(features_dir, PRODUCT_STATISTICS)),
        _view(CUSTOMER_ACTIVITY, CUSTOMER, ACTIVITY, source=activity_source(features_dir)),
    ]


def _view(name: str, entity: Entity, features: Sequence[Feature], *, source: FileSource | PushSource) -> FeatureView:
    # No TTL: Feast applies none online, and readers compare the row's time with the clock themselves.
    return FeatureView(
        name=name,
        entities=[entity],
        ttl=timedelta(0),
        schema=[_field(feature) for feature in features],
        source=source,
        online=True,
        owner=features[0].owner,
    )


def _field(feature: Feature) -> Field:
    return Field(
        name=feature.name,
        dtype=_TYPES[feature.kind],
        description=f"{feature.description} [{feature.unit}]",
        tags={"owner": feature.owner, "unit": feature.unit},
    )
