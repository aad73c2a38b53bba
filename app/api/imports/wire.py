"""What imports look like on the wire: how a file is to be read, what came of it, and what came in before."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.api.documents import RequestModel
from app.domain import JsonObject
from app.stores.jobs.folder import ImportInterrupted, Job

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,99}$")]
Short = Annotated[str, StringConstraints(min_length=1, max_length=100)]
ImportId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,64}$")]
FORM = ("encoding", "separator", "skip_lines", "sheet", "decimal", "date_order", "date_format", "time_zone")
INTERRUPTED = "it was cut off before it was done; send the file again, rows that came in are known"

MappingName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Table = Literal[
    "transactions",
    "products",
    "stores",
    "stock",
    "prices",
    "events",
    "campaigns",
    "offers",
    "audience",
    "redemptions",
    "promotions",
]


class ImportOptions(RequestModel):
    """The options of `endcap import` that a file may need."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Table | None = Field(default=None, description="What the file is; without it that is found out")
    mapping: Short | None = Field(
        default=None, description="A known source, or a mapping that was sent, by its name (docs/mapping.md)"
    )
    preview: bool = Field(default=False, description="Only look: what the file is and what would become of it")
    file_name: Name = Field(default="upload", description="What the list of imports is to call it")
    encoding: Short | None = Field(default=None, description="As utf-8 or cp1252")
    separator: Short | None = Field(default=None, description="Between columns")
    columns: Annotated[str, StringConstraints(min_length=1, max_length=5000)] | None = Field(
        default=None, description="Names for the columns of a file without a header, with commas between"
    )
    skip_lines: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Lines before the header")
    sheet: Short | None = Field(default=None, description="Of a workbook")
    decimal: Literal["point", "comma"] | None = Field(default=None, description="What stands before cents")
    date_order: Literal["day-first", "month-first"] | None = Field(
        default=None, description="Of dates such as 11/12/2025"
    )
    date_format: Short | None = Field(default=None, description="As %d.%m.%Y, or excel")
    time_zone: Short | None = Field(default=None, description="Of times that name none, as Europe/Berlin")
    replace: ImportId | None = Field(default=None, description="Import whose place the file takes")
    partial_stock: bool = Field(
        default=False, description="The stock has some products of its stores only; the others stay as they are"
    )
    keep_both: bool = Field(default=False, description="Add a file that came in before, read in another way now")

    def request(self, *, by: str) -> JsonObject:
        """The same as a job has it."""
        columns = None if self.columns is None else [name.strip() for name in self.columns.split(",")]
        return {
            "kind": "preview" if self.preview else "import",
            "file": self.file_name,
            "table": self.table,
            "mapping": self.mapping,
            "form": {name: getattr(self, name) for name in FORM} | {"columns": columns},
            "replace": self.replace,
            "keep_both": self.keep_both,
            "partial_stock": self.partial_stock,
            "by": by,
        }


class DifferenceAnswer(BaseModel):
    """A product of one store that was known otherwise."""

    store_id: str = Field(description="The store")
    product_id: str = Field(description="The product")
    was: float | None = Field(description="What was known as of the file's instant; null: nothing")
    now: float = Field(description="What the file says")


class DifferencesAnswer(BaseModel):
    """How a file of stock differs from what was known as of its instant, in products of single stores."""

    same: int = Field(description="Of those in the file: as known")
    differing: int = Field(description="Known otherwise, or not known")
    superseded: int = Field(description="Reported again since, which counts")
    missing: int = Field(description="Not in the file, though their store is")
    emptied: int = Field(description="Of the missing: those that were not known to be at 0, and are from now on")
    first: list[DifferenceAnswer] = Field(description="Some that differ")


class ImportReportAnswer(BaseModel):
    """The end of one import: rows_read = rows_added + rows_known + rows_rejected + all that was left out."""

    import_id: str | None = Field(description="By which it can be undone or replaced; null where it held no row")
    table: str = Field(description="What the file was")
    rows_read: int = Field(description="Rows of the file")
    rows_added: int = Field(
        description="New ones of them; of products, stores, stock and prices, also those that differ"
    )
    rows_known: int = Field(description="Those that were there")
    rows_rejected: int = Field(description="Those with a fault")
    guest_rows: int = Field(description="Rows without a customer, for whom their basket stands")
    left_out: dict[str, int] = Field(description="Rows by the reason, no fault of theirs, for which they were left out")
    reasons: dict[str, int] = Field(description="Faults by their reason, the most frequent first")
    examples: dict[str, str] = Field(description="By the reason of a fault a row that has it")
    warnings: list[str] = Field(description="What a person should look at, though every row is sound")
    notes: list[str] = Field(description="How the file was read")
    ignored_columns: list[str] = Field(description="Columns that nobody reads")
    shift_days: int | None = Field(description="How far its times were moved")
    seconds: float = Field(description="How long it took")
    differences: DifferencesAnswer | None = Field(description="Of a file of stock")


class ImportJob(BaseModel):
    """An import, a preview, an undoing or a new mapping on its way, or what became of it."""

    job_id: str = Field(description="By which it can be looked up, for the last 100")
    kind: Literal["import", "preview", "undo", "mapping"] = Field(description="What is done")
    status: Literal["queued", "running", "done", "failed"] = Field(
        description="`queued` waits for those before it; `failed` changed nothing, or is safe to send again"
    )
    file: str | None = Field(description="What the file is called")
    reports: list[ImportReportAnswer] | None = Field(description="Of a done import: one for each table that it held")
    previews: list[JsonObject] | None = Field(description="Of a done preview: one for each file, as `--preview --json`")
    rows_gone: int | None = Field(description="Of a done undoing: how many rows went")
    code: str | None = Field(description="Why it failed: stable, for programs (docs/errors.md)")
    detail: str | None = Field(description="Why it failed, in words")
    parameter: str | None = Field(
        description="The parameter that says how to read a file that could be read in two ways"
    )
    choices: list[str] | None = Field(description="What that parameter may be")


class ImportAnswer(BaseModel):
    """What came in once."""

    import_id: str = Field(description="Its id")
    table: str = Field(description="What it was")
    file: str = Field(description="What the file was called")
    mapping: str = Field(description="How it was read")
    by: str = Field(description="Who brought it")
    at: str = Field(description="When, ISO 8601")
    rows_read: int = Field(description="Rows of the file")
    rows_added: int = Field(description="Rows that came with it")
    rows_known: int = Field(description="Rows that were there before")
    rows_rejected: int = Field(description="Rows with a fault")
    first_at: str | None = Field(description="The first instant in it")
    last_at: str | None = Field(description="The last instant in it")
    status: str = Field(description="done, undone, replaced or unfinished")
    ended_at: str | None = Field(description="When it was taken back")
    replaced_by: str | None = Field(description="The import that took its place")


class ImportList(BaseModel):
    """All imports."""

    imports: list[ImportAnswer] = Field(description="In the order in which they came in")


def job_document(job: Job) -> JsonObject:
    """The job as an answer."""
    request, outcome = job.request(), job.outcome()
    if outcome["status"] == "interrupted":
        outcome = {"status": "failed", "code": ImportInterrupted.code, "detail": INTERRUPTED}
    known = {"job_id": job.job_id, "kind": request["kind"], "file": request.get("file")}
    document = {name: (known | outcome).get(name) for name in ImportJob.model_fields}
    if document["reports"] is not None:
        document["reports"] = [_only(ImportReportAnswer, one) for one in document["reports"]]
    return document


def import_document(listed: JsonObject) -> JsonObject:
    """An import of the list as an answer."""
    return _only(ImportAnswer, listed)


def _only(model: type[BaseModel], facts: JsonObject) -> JsonObject:
    # What an earlier Endcap kept may lack a field.
    return {name: facts.get(name) for name in model.model_fields}
