"""Where Feast finds feature rows: one Parquet file a view, and the push source of live activity."""

from pathlib import Path

from feast import FileSource, PushSource

from app.feature_fields import ACTIVITY_PUSH, CUSTOMER_ACTIVITY


def table_path(features_dir: Path, view: str) -> Path:
    """The offline table of a view: all its kept snapshots, one row for each entity and as_of."""
    return features_dir.absolute() / f"{view}.parquet"


def file_source(features_dir: Path, view: str) -> FileSource:
    """The offline table as a Feast source; its rows are known from event_timestamp on."""
    return FileSource(
        name=view,
        path=str(table_path(features_dir, view)),
        timestamp_field="event_timestamp",
        description=f"Snapshots of {view} that training writes.",
    )


def activity_source(features_dir: Path) -> PushSource:
    """What the worker pushes while events come in; its offline side is snapshots from the history."""
    return PushSource(
        name=ACTIVITY_PUSH,
        batch_source=file_source(features_dir, CUSTOMER_ACTIVITY),
        description="Live activity from the event stream.",
    )
