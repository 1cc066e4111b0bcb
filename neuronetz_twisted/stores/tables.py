"""The tables of schema `gateway` as SQLAlchemy knows them: the one source for every query.

The migrations own the database; a test holds this page against a migrated one (SPEC 12). Indexes,
checks and triggers matter to no query and stand in the migrations alone.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ENUM

from neuronetz_twisted.vocabulary import Status

SCHEMA = "gateway"

metadata = MetaData(schema=SCHEMA)

_MOMENT = DateTime(timezone=True)
_NOW = text("now()")
_NEW_ID = text("gen_random_uuid()")

tenant_status = ENUM(
    Status.ACTIVE.value,
    Status.DISABLED.value,
    name="tenant_status",
    schema=SCHEMA,
    create_type=False,
)
key_status = ENUM(
    *(status.value for status in Status), name="key_status", schema=SCHEMA, create_type=False
)
budget_period = ENUM(
    "day", "month", "total", name="budget_period", schema=SCHEMA, create_type=False
)


def _limits() -> list[Column[int]]:
    """The columns that tenant and key limits share; NULL is "not set here"."""
    return [
        Column("rpm", Integer),
        Column("tpm", Integer),
        Column("concurrent", Integer),
        Column("max_body_bytes", Integer),
        Column("max_predict", Integer),
        Column("budget_day", BigInteger),
        Column("budget_month", BigInteger),
        Column("budget_total", BigInteger),
    ]


tenants = Table(
    "tenants",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=_NEW_ID),
    Column("name", Text, nullable=False, unique=True),
    Column("status", tenant_status, nullable=False, server_default="active"),
    Column("allow_all_models", Boolean, nullable=False, server_default=text("false")),
    Column("allowed_models", ARRAY(Text), nullable=False, server_default="{}"),
    Column("epoch", BigInteger, nullable=False, server_default=text("1")),
    Column("changed_at", _MOMENT, nullable=False, server_default=text("clock_timestamp()")),
    Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
)

tenant_limits = Table(
    "tenant_limits",
    metadata,
    Column("tenant_id", Uuid, ForeignKey(tenants.c.id, ondelete="CASCADE"), primary_key=True),
    *_limits(),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=_NEW_ID),
    Column("tenant_id", Uuid, ForeignKey(tenants.c.id), nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("status", key_status, nullable=False, server_default="active"),
    Column("allow_all_models", Boolean),
    Column("allowed_models", ARRAY(Text)),
    Column("prompt_logging", Boolean, nullable=False, server_default=text("false")),
    Column("expires_at", _MOMENT),
    Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
    UniqueConstraint("tenant_id", "name"),
)

api_key_credentials = Table(
    "api_key_credentials",
    metadata,
    Column("prefix", Text, primary_key=True),
    Column("key_id", Uuid, ForeignKey(api_keys.c.id, ondelete="CASCADE"), nullable=False),
    Column("secret_hash", Text, nullable=False),
    Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
    Column("expires_at", _MOMENT),
    Column("last_used_at", _MOMENT),
)

key_limits = Table(
    "key_limits",
    metadata,
    Column("key_id", Uuid, ForeignKey(api_keys.c.id, ondelete="CASCADE"), primary_key=True),
    *_limits(),
)

revocations = Table(
    "revocations",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("key_id", Uuid),
    Column("prefix", Text),
    Column("reason", Text, nullable=False, server_default=""),
    Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
)

budget_usage = Table(
    "budget_usage",
    metadata,
    Column("scope_kind", Text, primary_key=True),
    Column("scope_id", Uuid, primary_key=True),
    Column("period", budget_period, primary_key=True),
    Column("starts_on", Date, primary_key=True),
    Column("tokens", BigInteger, nullable=False, server_default=text("0")),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("client_id", Text),
    Column("started_at", _MOMENT, primary_key=True),
    Column("tenant_id", Uuid),
    Column("key_prefix", Text),
    Column("key_id", Uuid),
    Column("route", Text, nullable=False),
    Column("dialect", Text),
    Column("model", Text),
    Column("backend", Text),
    Column("address", Text),
    Column("status", SmallInteger),
    Column("outcome", Text, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("completion_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("estimated", Boolean, nullable=False, server_default=text("false")),
    Column("bytes_sent", BigInteger, nullable=False, server_default=text("0")),
    Column("first_byte_ms", Integer),
    Column("duration_ms", Integer),
    Column("user_agent", Text),
    Column("writer", Uuid, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("chain_hash", LargeBinary, nullable=False),
    Column("charged", BigInteger, nullable=False, server_default=text("0")),
    Column("count", Integer, nullable=False, server_default=text("1")),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("writer", Uuid, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("chain_hash", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("statement", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("signer", LargeBinary, nullable=False),
    Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
)

audit_retention = Table(
    "audit_retention",
    metadata,
    Column("only_one", Boolean, primary_key=True, server_default=text("true")),
    Column("keep_days", Integer, nullable=False),
)

usage_by_day = Table(
    "usage_by_day",
    metadata,
    Column("day", Date, primary_key=True),
    Column("tenant_id", Uuid, primary_key=True),
    Column("key_id", Uuid, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False, server_default=text("0")),
    Column("prompt_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("completion_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("charged", BigInteger, nullable=False, server_default=text("0")),
)

prompt_log = Table(
    "prompt_log",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Uuid, ForeignKey(tenants.c.id, ondelete="CASCADE"), nullable=False),
    Column("key_id", Uuid, nullable=False),
    Column("started_at", _MOMENT, nullable=False),
    Column("expires_at", _MOMENT, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

prompt_keys = Table(
    "prompt_keys",
    metadata,
    Column("tenant_id", Uuid, ForeignKey(tenants.c.id, ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("master_id", Text, nullable=False),
    Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
)

instances = Table(
    "instances",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("started_at", _MOMENT, nullable=False, server_default=_NOW),
    Column("heartbeat_at", _MOMENT, nullable=False, server_default=_NOW),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
)
