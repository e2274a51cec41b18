"""Add webhooks: their URL to jobs, and the table of deliveries."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from shared.db.types import UtcDateTime, ascii_text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in {
        "engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"
    }.items()
}  # fmt: skip


def upgrade() -> None:
    """Apply: only adds, so that code which knows nothing of it goes on."""
    op.add_column("jobs", sa.Column("webhook_url", ascii_text(2000)))
    op.add_column("jobs", sa.Column("webhook_host", ascii_text(253)))
    op.create_table(
        "deliveries",
        sa.Column("job_id", ascii_text(36, fixed=True), primary_key=True),
        sa.Column("host", ascii_text(253), nullable=False),
        sa.Column("state", ascii_text(10), nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", UtcDateTime),
        sa.Column("last_attempt_at", UtcDateTime),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.String(200)),
        **_OPTIONS,
    )
    op.create_index("deliveries_by_due", "deliveries", ["state", "next_attempt_at"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("deliveries")
    op.drop_column("jobs", "webhook_host")
    op.drop_column("jobs", "webhook_url")
