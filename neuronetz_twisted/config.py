"""The settings of one process, read once from the environment (SPEC 10).

`load` checks every variable before anything starts and reports all faults together, so that an
operator mends a deployment in one go. Each variable is one line of `Settings`: name, default,
parser, help; the table of the documents and `neuronetz-gateway config` are made from the same
lines.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import Attribute, fields, frozen

from neuronetz_twisted.backend_list import MOST_SLOTS, BackendEntry, parse_backends
from neuronetz_twisted.environment import find, read_dotenv
from neuronetz_twisted.limits import LARGEST_LIMIT
from neuronetz_twisted.misfits import misfits
from neuronetz_twisted.pinned_options import PinnedOptions, parse_pinned
from neuronetz_twisted.variables import (
    Variable,
    absolute_path,
    choice,
    flag,
    header_name,
    header_value,
    http_url,
    origins,
    own_host,
    postgresql_url,
    proxies,
    redis_server_url,
    seconds,
    secret_keys,
    server_endpoint,
    variable,
    version,
    whole,
)


class ConfigError(Exception):
    """The environment is not usable; `faults` has one plain line for each variable that is off."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


@frozen(kw_only=True)
class Settings:
    """Every setting of this version. Times are in seconds unless the name says otherwise."""

    bind_host: str = variable("GATEWAY_BIND_HOST", own_host, "0.0.0.0", "address to listen on")
    bind_port: int = variable("GATEWAY_BIND_PORT", whole(0, 65535), "8080", "port to listen on")
    endpoint: str | None = variable(
        "GATEWAY_ENDPOINT",
        server_endpoint,
        None,
        "Twisted endpoint string; wins over host and port",
    )
    log_level: str = variable(
        "GATEWAY_LOG_LEVEL",
        choice("DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"),
        "INFO",
        "least severe level that is logged",
    )
    log_format: str = variable(
        "GATEWAY_LOG_FORMAT", choice("json", "console"), "json", "JSON lines, or text for people"
    )
    request_id_header: str = variable(
        "GATEWAY_REQUEST_ID_HEADER", header_name, "X-Request-ID", "header that carries our id"
    )
    trusted_proxies: tuple[str, ...] = variable(
        "GATEWAY_TRUSTED_PROXIES",
        proxies,
        "127.0.0.1,caddy",
        "addresses, networks or names whose X-Forwarded-For is believed",
    )
    cors_origins: tuple[str, ...] = variable(
        "GATEWAY_CORS_ORIGINS", origins, "", "web origins whose pages may call, or *"
    )
    max_connections: int = variable(
        "GATEWAY_MAX_CONNECTIONS", whole(1, 1_000_000), "10000", "clients connected at once"
    )
    max_connections_per_address: int = variable(
        "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS",
        whole(1, 1_000_000),
        "256",
        "those of one address; trusted proxies have no such limit",
    )
    hide_timings: bool = variable(
        "HIDE_TIMINGS", flag, "false", "whether answers leave out how long the model host took"
    )
    state_dir: Path = variable(  # noqa: RUF009 - attrs fields are made by this call
        "GATEWAY_STATE_DIR",
        absolute_path,
        "/var/lib/neuronetz",
        "directory of the spool and of embedded servers",
    )
    ollama_base_url: str = variable(
        "OLLAMA_BASE_URL", http_url, "http://ollama:11434", "the Ollama host"
    )
    ollama_auth_token: str | None = variable(
        "OLLAMA_AUTH_TOKEN", header_value, None, "token sent to the Ollama host", secret=True
    )
    ollama_auth_header: str = variable(
        "OLLAMA_AUTH_HEADER", header_name, "Authorization", "header that carries the token"
    )
    ollama_auth_scheme: str = variable(
        "OLLAMA_AUTH_SCHEME", header_value, "Bearer", "word before the token"
    )
    ollama_backends: tuple[BackendEntry, ...] | None = variable(
        "OLLAMA_BACKENDS",
        parse_backends,
        None,
        "several Ollama hosts, in order, as JSON; the variables above name one",
        secret=True,
    )
    pinned_options: PinnedOptions | None = variable(  # noqa: RUF009 - as above
        "OLLAMA_PINNED_OPTIONS",
        parse_pinned,
        None,
        "options set for a model or for all (`*`), whatever clients ask, as JSON",
    )
    ollama_connect_timeout_s: float = variable(
        "OLLAMA_CONNECT_TIMEOUT_S",
        seconds(0.05, 600),
        "5",
        "time to connect to Ollama, TLS included",
    )
    ollama_read_timeout_s: float = variable(
        "OLLAMA_READ_TIMEOUT_S",
        seconds(0.05, 86400),
        "600",
        "longest silence before the first frame and between frames",
    )
    ollama_max_connections: int = variable(
        "OLLAMA_MAX_CONNECTIONS",
        whole(1, MOST_SLOTS),
        "64",
        "requests at once at an Ollama host without slots of its own",
    )
    ollama_min_version: tuple[int, int, int] = variable(
        "OLLAMA_MIN_VERSION", version, "0.17.1", "an older Ollama is not used"
    )
    discovery_refresh_s: float = variable(
        "MODEL_DISCOVERY_REFRESH_S", seconds(0.1, 86400), "60", "time between two polls of models"
    )
    discovery_ttl_s: float = variable(
        "MODEL_DISCOVERY_CACHE_TTL_S",
        seconds(0.1, 86400),
        "120",
        "how long a list of models stays valid",
    )
    database_url: str = variable(
        "DATABASE_URL",
        postgresql_url,
        None,
        "PostgreSQL of the service, or embedded:",
        secret=True,
    )
    database_admin_url: str | None = variable(
        "DATABASE_ADMIN_URL",
        postgresql_url,
        None,
        "PostgreSQL as the schema's owner, for migrate only; DATABASE_URL if unset",
        secret=True,
    )
    database_pool_size: int = variable(
        "DATABASE_POOL_SIZE", whole(1, 1000), "10", "connections to PostgreSQL"
    )
    database_pool_overflow: int = variable(
        "DATABASE_POOL_OVERFLOW", whole(0, 10_000), "20", "calls that may wait for a connection"
    )
    redis_url: str = variable(
        "REDIS_URL",
        redis_server_url,
        "redis://redis:6379/0",
        "Redis or Valkey: redis://, rediss://, unix:// or embedded:",
        secret=True,
    )
    redis_key_cache_ttl_s: float = variable(
        "REDIS_KEY_CACHE_TTL_S",
        seconds(0.1, 86400),
        "60",
        "how long a verified key is believed without looking again",
    )
    redis_timeout_ms: int = variable(
        "REDIS_TIMEOUT_MS", whole(1, 60_000), "250", "deadline of one Redis call"
    )
    default_rpm: int = variable(
        "DEFAULT_RPM", whole(1, LARGEST_LIMIT), "60", "requests per minute where nothing is set"
    )
    default_tpm: int = variable(
        "DEFAULT_TPM", whole(1, LARGEST_LIMIT), "100000", "tokens per minute where nothing is set"
    )
    default_concurrent: int = variable(
        "DEFAULT_CONCURRENT", whole(1, LARGEST_LIMIT), "8", "requests at once where nothing is set"
    )
    max_request_body_bytes: int = variable(
        "MAX_REQUEST_BODY_BYTES", whole(1, 1 << 30), "262144", "largest request body"
    )
    max_num_predict: int = variable(
        "MAX_NUM_PREDICT", whole(1, 1 << 30), "4096", "most tokens that one answer may have"
    )
    max_response_bytes: int = variable(
        "MAX_RESPONSE_BYTES", whole(1024, 1 << 30), "16777216", "largest non-streamed answer"
    )
    token_lease: int = variable(
        "TOKEN_LEASE", whole(1, 1 << 30), "256", "tokens of an answer that are reserved at a time"
    )
    argon2_time_cost: int = variable("ARGON2_TIME_COST", whole(1, 100), "3", "argon2id passes")
    argon2_memory_cost_kib: int = variable(
        "ARGON2_MEMORY_COST_KIB", whole(8, 4_194_304), "65536", "argon2id memory"
    )
    argon2_parallelism: int = variable("ARGON2_PARALLELISM", whole(1, 64), "4", "argon2id lanes")
    auth_failure_limit: int = variable(
        "AUTH_FAILURE_RATE_LIMIT_PER_IP_PER_MIN",
        whole(1, 1_000_000),
        "20",
        "failed attempts to authenticate per address and minute",
    )
    audit_buffer_size: int = variable(
        "AUDIT_BUFFER_SIZE", whole(1, 1_000_000), "1000", "records that may wait in memory"
    )
    audit_spool_max_bytes: int = variable(
        "AUDIT_SPOOL_MAX_BYTES", whole(1 << 24, 1 << 50), "268435456", "disk space of all spools"
    )
    audit_durability: str = variable(
        "AUDIT_DURABILITY",
        choice("process", "disk"),
        "process",
        "what a record survives: the end of the process, or of the machine",
    )
    audit_signing_key: str | None = variable(
        "AUDIT_SIGNING_KEY",
        secret_keys,
        None,
        "32 bytes that sign checkpoints, former ones behind; made at the first start if unset",
        secret=True,
    )
    audit_checkpoint_file: Path | None = variable(  # noqa: RUF009 - as above
        "AUDIT_CHECKPOINT_FILE",
        absolute_path,
        None,
        "file of checkpoints; audit-checkpoints.jsonl in the state directory if unset",
    )
    audit_retention_days: int = variable(
        "AUDIT_LOG_DEFAULT_RETENTION_DAYS", whole(30, 36_500), "365", "how long records are kept"
    )
    prompt_retention_days: int = variable(
        "PROMPT_LOG_DEFAULT_RETENTION_DAYS", whole(1, 36_500), "30", "how long prompts are kept"
    )
    prompt_log_master_key: str | None = variable(
        "PROMPT_LOG_MASTER_KEY",
        secret_keys,
        None,
        "32 bytes that wrap the keys of prompts, former ones behind; no prompt log if unset",
        secret=True,
    )


@frozen
class Loaded:
    """Settings with the origin of each variable: a word for people."""

    settings: Settings
    origins: Mapping[str, str]


def variables() -> list[tuple[str, Variable]]:
    """Each field of `Settings` with its variable, in order."""
    attributes: tuple[Attribute[Any], ...] = fields(Settings)
    return [(attribute.name, attribute.metadata["variable"]) for attribute in attributes]


def load(environ: Mapping[str, str], directory: Path) -> Loaded:
    """Read the settings from `environ` and from a `.env` in `directory`; `environ` wins.

    A relative `directory` serves also where the working directory was deleted, which has no `.env`.
    `NAME_FILE` names a file that holds the value of a text variable (Docker and systemd secrets).
    Raises `ConfigError` with every fault found.
    """
    dotenv, faults = read_dotenv(directory / ".env")
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for attribute, known in variables():
        try:
            found, origin = find(known, environ, dotenv)
            values[attribute] = None if found is None else known.parse(found)
        except ValueError as error:
            faults.append(f"{known.name}: {error}")
        else:
            origins[known.name] = origin
    faults += misfits(values)
    if faults:
        raise ConfigError(faults)
    return Loaded(Settings(**values), origins)
