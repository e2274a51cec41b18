"""Create jobs, chunks, inputs, results and the view predictions."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from shared.db.types import UtcDateTime, ascii_text, blob, document

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in {
        "engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"
    }.items()
}  # fmt: skip

# The time of the database, whose sessions are in UTC.
_CLOCK = {
    "mysql": "CURRENT_TIMESTAMP(6)",
    "sqlite": "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')",
}

# A label that is null belongs to a row with an error: it is no prediction.
_VIEW = {
    "mysql": """
        CREATE VIEW predictions AS
        SELECT r.job_id, r.first_row + l.position - 1 AS `row`, l.label,
               r.model_version, r.created_at
        FROM results r,
             JSON_TABLE(r.labels, '$[*]' COLUMNS (
                 position FOR ORDINALITY, label VARCHAR(255) PATH '$')) l
        WHERE l.label IS NOT NULL""",
    "sqlite": """
        CREATE VIEW predictions AS
        SELECT r.job_id, r.first_row + l.key AS "row", l.value AS label,
               r.model_version, r.created_at
        FROM results r, json_each(r.labels) l
        WHERE l.type <> 'null'""",
}


def upgrade() -> None:
    """Apply."""
    _create_jobs()
    _create_chunks()
    _create_inputs()
    backend = op.get_bind().dialect.name
    kind = "sqlite" if backend == "sqlite" else "mysql"
    _create_results(kind)
    _create_job_labels()
    _create_idempotency_keys()
    _create_api_keys()
    op.execute(_VIEW[kind])


def downgrade() -> None:
    """Undo."""
    op.execute("DROP VIEW predictions")
    tables = "api_keys idempotency_keys job_labels results inputs chunks jobs"
    for table in tables.split():
        op.drop_table(table)


def _job_id() -> sa.Column[str]:
    return sa.Column("job_id", ascii_text(36, fixed=True), nullable=False)


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", ascii_text(36, fixed=True), primary_key=True),
        sa.Column("owner", ascii_text(32), nullable=False),
        sa.Column("state", ascii_text(10), nullable=False),
        sa.Column("queue", ascii_text(16), nullable=False),
        sa.Column("model_name", sa.String(64), nullable=False),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("model_sha256", ascii_text(64, fixed=True), nullable=False),
        sa.Column("outputs", document(), nullable=False),
        sa.Column("labels", document(), nullable=False),
        sa.Column("warnings", document(), nullable=False),
        sa.Column("layout", document()),
        sa.Column("max_errors", sa.BigInteger),
        sa.Column("rows_total", sa.BigInteger, nullable=False),
        sa.Column("rows_succeeded", sa.BigInteger, nullable=False),
        sa.Column("rows_failed", sa.BigInteger, nullable=False),
        sa.Column("chunks_total", sa.Integer, nullable=False),
        sa.Column("chunks_finished", sa.Integer, nullable=False),
        sa.Column("chunks_released", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("summary", document()),
        sa.Column("error_code", ascii_text(64)),
        sa.Column("error_detail", sa.String(500)),
        sa.Column("retention_seconds", sa.Integer, nullable=False),
        sa.Column("retry_of", ascii_text(36, fixed=True)),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("started_at", UtcDateTime),
        sa.Column("finished_at", UtcDateTime),
        sa.Column("deadline_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime),
        sa.Column("deleted_at", UtcDateTime),
        **_OPTIONS,
    )
    op.create_index("jobs_by_deadline", "jobs", ["state", "deadline_at"])
    op.create_index("jobs_by_owner", "jobs", ["owner", "id"])
    op.create_index("jobs_by_owner_and_state", "jobs", ["owner", "state", "id"])
    op.create_index("jobs_by_expiry", "jobs", ["expires_at"])


def _create_chunks() -> None:
    op.create_table(
        "chunks",
        _job_id(),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("state", ascii_text(10), nullable=False),
        sa.Column("queue", ascii_text(16), nullable=False),
        sa.Column("first_row", sa.BigInteger, nullable=False),
        sa.Column("first_line", sa.BigInteger, nullable=False),
        sa.Column("row_count", sa.Integer, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("claimed_by", ascii_text(64)),
        sa.Column("lease_until", UtcDateTime),
        sa.Column("next_publish_at", UtcDateTime),
        sa.Column("publishes", sa.Integer, nullable=False),
        sa.Column("error_detail", sa.String(500)),
        sa.PrimaryKeyConstraint("job_id", "seq"),
        **_OPTIONS,
    )
    op.create_index("chunks_by_work", "chunks", ["state", "queue", "next_publish_at", "row_count"])


def _create_inputs() -> None:
    op.create_table(
        "inputs",
        _job_id(),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("encoding", ascii_text(16), nullable=False),
        sa.Column("body", blob(), nullable=False),
        sa.Column("errors", document()),
        sa.PrimaryKeyConstraint("job_id", "seq"),
        **_OPTIONS,
    )


def _create_results(kind: str) -> None:
    op.create_table(
        "results",
        _job_id(),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("first_row", sa.BigInteger, nullable=False),
        sa.Column("row_count", sa.Integer, nullable=False),
        sa.Column("first_line", sa.BigInteger, nullable=False),
        sa.Column("labels", document()),
        sa.Column("ids", document()),
        sa.Column("lines", document()),
        sa.Column("probabilities", blob()),
        sa.Column("errors", document()),
        sa.Column("summary", document()),
        sa.Column("error_code", ascii_text(64)),
        sa.Column("error_detail", sa.String(500)),
        sa.Column("model_version", sa.String(80), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False, server_default=sa.text(_CLOCK[kind])),
        sa.PrimaryKeyConstraint("job_id", "seq"),
        **_OPTIONS,
    )


def _create_job_labels() -> None:
    op.create_table(
        "job_labels",
        sa.Column("owner", ascii_text(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.String(64), nullable=False),
        _job_id(),
        sa.PrimaryKeyConstraint("owner", "name", "value", "job_id"),
        **_OPTIONS,
    )
    op.create_index("job_labels_by_job", "job_labels", ["job_id"])


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", ascii_text(32), nullable=False),
        sa.Column("key_hash", ascii_text(64, fixed=True), nullable=False),
        sa.Column("fingerprint", ascii_text(64, fixed=True)),
        _job_id(),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("owner", "key_hash"),
        **_OPTIONS,
    )
    op.create_index("idempotency_keys_by_age", "idempotency_keys", ["created_at"])
    op.create_index("idempotency_keys_by_job", "idempotency_keys", ["job_id"])


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", ascii_text(32), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("secret_hash", ascii_text(64, fixed=True), nullable=False),
        sa.Column("previous_hash", ascii_text(64, fixed=True)),
        sa.Column("previous_until", UtcDateTime),
        sa.Column("requests_per_second", sa.Double),
        sa.Column("queued_rows", sa.BigInteger),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("last_used_at", UtcDateTime),
        sa.Column("revoked_at", UtcDateTime),
        **_OPTIONS,
    )
