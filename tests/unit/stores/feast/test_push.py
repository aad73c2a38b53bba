"""The one private part of Feast that is relied on: the Redis client that its online store keeps."""

from pathlib import Path

import redis

from app.settings import Settings
from app.stores.feast.push import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S, feature_store, use_client

NOWHERE = "redis://127.0.0.1:1/0"


def test_feast_uses_the_client_that_it_is_given_and_opens_none_of_its_own(tmp_path: Path) -> None:
    store = feature_store(Settings(data_dir=tmp_path), NOWHERE)
    online_store, config = store.provider.online_store, store.config.online_store
    options = online_store._get_client(config).connection_pool.connection_kwargs
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S)
    with redis.Redis.from_url(NOWHERE) as other:
        use_client(store, other)
        assert online_store._get_client(config) is other


def test_feast_starts_without_a_client(tmp_path: Path) -> None:
    online_store = type(feature_store(Settings(data_dir=tmp_path), NOWHERE).provider.online_store)
    assert online_store._client is None
