"""Add purges, the deleted jobs whose data is still stored, and hide these from the view."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from shared.db.types import UtcDateTime, ascii_text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in {
        "engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"
    }.items()
}  # fmt: skip

_SELECT = {
    "mysql": """
        SELECT r.job_id, r.first_row + l.position - 1 AS `row`, l.label,
               r.model_version, r.created_at
        FROM results r,
             JSON_TABLE(r.labels, '$[*]' COLUMNS (
                 position FOR ORDINALITY, label VARCHAR(255) PATH '$')) l
        WHERE l.label IS NOT NULL""",
    "sqlite": """
        SELECT r.job_id, r.first_row + l.key AS "row", l.value AS label,
               r.model_version, r.created_at
        FROM results r, json_each(r.labels) l
        WHERE l.type <> 'null'""",
}
_NOT_DELETED = " AND NOT EXISTS (SELECT 1 FROM purges p WHERE p.job_id = r.job_id)"


def upgrade() -> None:
    """Apply: only adds, and the view keeps its columns."""
    op.create_table(
        "purges",
        sa.Column("job_id", ascii_text(36, fixed=True), primary_key=True),
        sa.Column("next_seq", sa.Integer, nullable=False),
        sa.Column("next_at", UtcDateTime, nullable=False),
        **_OPTIONS,
    )
    op.create_index("purges_by_turn", "purges", ["next_at"])
    _replace_view(_NOT_DELETED)


def downgrade() -> None:
    """Undo: first delete the data that no other table leads to any more."""
    purges = sa.table("purges", sa.column("job_id"))
    for name in ("results", "inputs", "chunks"):
        table = sa.table(name, sa.column("job_id"))
        op.execute(sa.delete(table).where(table.c.job_id.in_(sa.select(purges.c.job_id))))
    _replace_view("")
    op.drop_table("purges")


def _replace_view(condition: str) -> None:
    kind = "sqlite" if op.get_bind().dialect.name == "sqlite" else "mysql"
    op.execute("DROP VIEW predictions")
    op.execute(f"CREATE VIEW predictions AS {_SELECT[kind]}{condition}")
