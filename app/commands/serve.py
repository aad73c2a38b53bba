"""`endcap serve`: one process of the API, on a socket of its own or on one that its supervisor hands over."""

from contextlib import suppress
from pathlib import Path
from socket import socket

from app.api.edge.connections import connection_type
from app.composition.stores import opened_ledger
from app.errors import BadSetting, StoreUnavailable
from app.main import create_app
from app.processes.api import Handover
from app.processes.server import listen, serve_on
from app.settings import Settings
from app.telemetry import share_metrics


def serve(settings: Settings, redis_url: str, handover: str | None) -> None:
    """Serves until SIGTERM or SIGINT; raises BadSetting when the application does not start."""
    given = None if handover is None else Handover.unpacked(handover)
    metrics_dir = None
    if given is not None:
        metrics_dir = Path(given.metrics_dir)
        share_metrics(metrics_dir, given.metrics_name)
    listener = listen(settings.host, settings.port) if given is None else socket(fileno=given.listen_fd)
    app = create_app(settings, redis_url, metrics_dir=metrics_dir)
    # Before uvicorn, which would make a traceback and a status of its own of a ledger that a newer Endcap has migrated.
    with suppress(StoreUnavailable), opened_ledger(settings):
        pass
    on_started = None if given is None else given.say_ready
    service = app.state.service
    connection = connection_type(settings.max_connections, service.admission, keys=service.keys)
    if not serve_on(listener, app, connection, on_started=on_started):
        raise BadSetting("the API did not start; the log says why")
