"""What schemathesis reads in `application/x-ndjson`: the array of the lines, as the document says.

Loaded by schemathesis itself, as tests/schemathesis.toml tells it.
"""

import json
from typing import Any

import schemathesis
from schemathesis import DeserializationContext, Response


@schemathesis.deserializer("application/x-ndjson")
def lines_of(_: DeserializationContext, response: Response) -> list[Any]:
    """The lines of a stream. Raises `ValueError` where one is not JSON."""
    return [json.loads(line) for line in response.content.removesuffix(b"\n").split(b"\n")]
