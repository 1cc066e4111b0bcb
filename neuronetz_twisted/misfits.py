"""Settings that are valid each by itself, and not beside one another (SPEC 10). Pure."""

from collections.abc import Mapping
from math import inf
from typing import Any

ARGON2_KIB_PER_LANE = 8
"""The least memory that argon2 takes (RFC 9106, 3.1)."""


def misfits(values: Mapping[str, Any]) -> list[str]:
    """Give a line for each fault of `values`, which go by the fields of `Settings`.

    A value that is not there was not valid, and fits all others.
    """
    faults = []
    if values.get("discovery_ttl_s", inf) < values.get("discovery_refresh_s", 0.0):
        faults.append(
            "MODEL_DISCOVERY_CACHE_TTL_S: must not be less than MODEL_DISCOVERY_REFRESH_S"
        )
    lanes = values.get("argon2_parallelism", 0)
    if values.get("argon2_memory_cost_kib", inf) < ARGON2_KIB_PER_LANE * lanes:
        faults.append(
            f"ARGON2_MEMORY_COST_KIB: must be at least {ARGON2_KIB_PER_LANE} times "
            "ARGON2_PARALLELISM"
        )
    return faults
