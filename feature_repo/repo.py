"""From definitions to the registry: what training applies before it writes feature rows."""

from collections.abc import Sequence

from feast import FeatureStore, FeatureView

from app.settings import Settings
from feature_repo.entities import CUSTOMER, PRODUCT
from feature_repo.services import feature_services
from feature_repo.views import feature_views


def apply_definitions(store: FeatureStore, settings: Settings) -> Sequence[FeatureView]:
    """Register entities, views and services; returns the views. The views' Parquet files must exist."""
    views = feature_views(settings.features_dir)
    store.apply([CUSTOMER, PRODUCT, *views, *feature_services(views)])
    return views
