"""Add the manifests of models that jobs were accepted for: results outlive the model folder."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from shared.db.types import ascii_text, blob

revision = "0004"
down_revision = "0003"
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
    """Apply: only adds."""
    op.create_table(
        "manifests",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("sha256", ascii_text(64, fixed=True), nullable=False),
        sa.Column("document", blob(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", "sha256"),
        **_OPTIONS,
    )


def downgrade() -> None:
    """Undo: results of models that are still in the model folder stay readable."""
    op.drop_table("manifests")
