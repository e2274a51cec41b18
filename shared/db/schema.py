"""The tables as the code sees them; the migrations create them and a test compares the two."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    FetchedValue,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
)

from shared.db.types import UtcDateTime, ascii_text, blob, document

metadata = MetaData()

# No foreign keys: inserting a result would take a shared lock on its job's row, and two workers
# that finish chunks of one job would then deadlock on raising that lock for the counters.

_INNODB: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}

jobs = Table(
    "jobs",
    metadata,
    Column("id", ascii_text(36, fixed=True), primary_key=True),
    # The API key that submitted it; empty where keys are off.
    Column("owner", ascii_text(32), nullable=False),
    Column("state", ascii_text(10), nullable=False),
    Column("queue", ascii_text(16), nullable=False),
    Column("model_name", String(64), nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("model_sha256", ascii_text(64, fixed=True), nullable=False),
    Column("outputs", document(), nullable=False),
    Column("labels", document(), nullable=False),
    Column("warnings", document(), nullable=False),
    # How the rows of a CSV are laid out; NULL for rows that came as JSON.
    Column("layout", document()),
    # More failed rows than this fail the job; NULL is no limit.
    Column("max_errors", BigInteger),
    Column("rows_total", BigInteger, nullable=False),
    Column("rows_succeeded", BigInteger, nullable=False),
    Column("rows_failed", BigInteger, nullable=False),
    Column("chunks_total", Integer, nullable=False),
    Column("chunks_finished", Integer, nullable=False),
    # Chunks 0 … chunks_released-1 have been handed to Redis; the others wait for the window.
    Column("chunks_released", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("summary", document()),
    Column("error_code", ascii_text(64)),
    Column("error_detail", String(500)),
    Column("retention_seconds", Integer, nullable=False),
    Column("retry_of", ascii_text(36, fixed=True)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("deadline_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    # A deleted job keeps its row, without data, so that asking for it says so.
    Column("deleted_at", UtcDateTime),
    # Whom to tell of its end; the host is the URL's, by which deliveries share the senders.
    Column("webhook_url", ascii_text(2000)),
    Column("webhook_host", ascii_text(253)),
    Index("jobs_by_deadline", "state", "deadline_at"),
    Index("jobs_by_owner", "owner", "id"),
    Index("jobs_by_owner_and_state", "owner", "state", "id"),
    Index("jobs_by_expiry", "expires_at"),
    **_INNODB,
)

chunks = Table(
    "chunks",
    metadata,
    Column("job_id", ascii_text(36, fixed=True), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("state", ascii_text(10), nullable=False),
    Column("queue", ascii_text(16), nullable=False),
    Column("first_row", BigInteger, nullable=False),
    Column("first_line", BigInteger, nullable=False),
    Column("row_count", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("claimed_by", ascii_text(64)),
    Column("lease_until", UtcDateTime),
    # When the sweep shall publish a pending chunk (again); NULL while it waits for the window.
    Column("next_publish_at", UtcDateTime),
    Column("publishes", Integer, nullable=False),
    Column("error_detail", String(500)),
    PrimaryKeyConstraint("job_id", "seq"),
    # Serves the sweep (due chunks, expired leases) and the backlog's sums without a table look-up.
    Index("chunks_by_work", "state", "queue", "next_publish_at", "row_count"),
    **_INNODB,
)

# Bodies stay out of `chunks`, so that moving a chunk never rewrites megabytes (SQLite would).
inputs = Table(
    "inputs",
    metadata,
    Column("job_id", ascii_text(36, fixed=True), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("encoding", ascii_text(16), nullable=False),
    Column("body", blob(), nullable=False),
    Column("errors", document()),
    PrimaryKeyConstraint("job_id", "seq"),
    **_INNODB,
)

# One row for each finished chunk, inserted once and never updated.
results = Table(
    "results",
    metadata,
    Column("job_id", ascii_text(36, fixed=True), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("first_row", BigInteger, nullable=False),
    Column("row_count", Integer, nullable=False),
    Column("first_line", BigInteger, nullable=False),
    Column("labels", document()),
    # The rows' own ids and lines: NULL when they have none, or when lines follow one another.
    Column("ids", document()),
    Column("lines", document()),
    Column("probabilities", blob()),
    Column("errors", document()),
    Column("summary", document()),
    Column("error_code", ascii_text(64)),
    Column("error_detail", String(500)),
    Column("model_version", String(80), nullable=False),
    # By the database's own clock, as the migration's default says.
    Column("created_at", UtcDateTime, nullable=False, server_default=FetchedValue()),
    PrimaryKeyConstraint("job_id", "seq"),
    **_INNODB,
)

# One row for each finished job with a webhook, inserted by the transaction that finishes it.
deliveries = Table(
    "deliveries",
    metadata,
    Column("job_id", ascii_text(36, fixed=True), primary_key=True),
    Column("host", ascii_text(253), nullable=False),
    Column("state", ascii_text(10), nullable=False),
    Column("fence", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    # While an attempt is under way: when another sweeper may take it for lost.
    Column("next_attempt_at", UtcDateTime),
    Column("last_attempt_at", UtcDateTime),
    Column("last_status", Integer),
    Column("last_error", String(200)),
    Index("deliveries_by_due", "state", "next_attempt_at"),
    **_INNODB,
)

# Deleted jobs whose chunks, inputs and results are still to be deleted; jobs take turns.
purges = Table(
    "purges",
    metadata,
    Column("job_id", ascii_text(36, fixed=True), primary_key=True),
    # Chunks before this one have been deleted.
    Column("next_seq", Integer, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Index("purges_by_turn", "next_at"),
    **_INNODB,
)

# The manifests of models that jobs were accepted for, which results are read with. They are few,
# and stay: a model may be removed from the model folder before its last job is deleted.
manifests = Table(
    "manifests",
    metadata,
    Column("name", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    # Of the model file, as in `jobs`.
    Column("sha256", ascii_text(64, fixed=True), nullable=False),
    # JSON as text: as a JSON column, MySQL would round some numbers.
    Column("document", blob(), nullable=False),
    PrimaryKeyConstraint("name", "version", "sha256"),
    **_INNODB,
)

# What clients call their jobs, one row a label, so that they can be found by it.
job_labels = Table(
    "job_labels",
    metadata,
    Column("owner", ascii_text(32), nullable=False),
    Column("name", String(64), nullable=False),
    Column("value", String(64), nullable=False),
    Column("job_id", ascii_text(36, fixed=True), nullable=False),
    PrimaryKeyConstraint("owner", "name", "value", "job_id"),
    Index("job_labels_by_job", "job_id"),
    **_INNODB,
)

# The same key twice is the same request twice: the primary key lets one of them in.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner", ascii_text(32), nullable=False),
    Column("key_hash", ascii_text(64, fixed=True), nullable=False),
    # Of the request's options and body; NULL while an upload is still arriving.
    Column("fingerprint", ascii_text(64, fixed=True)),
    Column("job_id", ascii_text(36, fixed=True), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("owner", "key_hash"),
    Index("idempotency_keys_by_age", "created_at"),
    Index("idempotency_keys_by_job", "job_id"),
    **_INNODB,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", ascii_text(32), primary_key=True),
    Column("name", String(100), nullable=False),
    # SHA-256 in hex of the secrets; the secrets themselves are nowhere.
    Column("secret_hash", ascii_text(64, fixed=True), nullable=False),
    Column("previous_hash", ascii_text(64, fixed=True)),
    Column("previous_until", UtcDateTime),
    Column("requests_per_second", Double),
    Column("queued_rows", BigInteger),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    **_INNODB,
)
