"""What the feast command line finds: the definitions over the data directory of the environment."""

from app.settings import Settings
from feature_repo.entities import CUSTOMER, PRODUCT
from feature_repo.services import feature_services
from feature_repo.views import feature_views

ENTITIES = (CUSTOMER, PRODUCT)
(profile_view, purchases_view, statistics_view, activity_view) = feature_views(Settings.load().features_dir)
(decision_service, product_service) = feature_services([profile_view, purchases_view, statistics_view, activity_view])
