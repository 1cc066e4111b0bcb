"""A bare relay on FastAPI and httpx, run by uvicorn. `fastapi_relay.py PORT UPSTREAM`."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

TIMEOUT_S = 600.0
LIMITS = httpx.Limits(max_connections=4096, max_keepalive_connections=4096)


@asynccontextmanager
async def with_client(app: FastAPI) -> AsyncIterator[None]:
    """Keep one pool of connections for the application's life."""
    async with httpx.AsyncClient(base_url=sys.argv[2], limits=LIMITS, timeout=TIMEOUT_S) as client:
        app.state.client = client
        yield


application = FastAPI(lifespan=with_client)


@application.post("/{path:path}")
async def relay(path: str, request: Request) -> Response:
    """Pass one request on, and its answer back as it comes."""
    client: httpx.AsyncClient = request.app.state.client
    headers = {"Content-Type": "application/json"}
    asked = client.build_request("POST", f"/{path}", content=await request.body(), headers=headers)
    answer = await client.send(asked, stream=True)
    kind = answer.headers.get("Content-Type", "application/json")
    if "Content-Length" in answer.headers:
        content = await answer.aread()
        await answer.aclose()
        return Response(content, answer.status_code, media_type=kind)
    return StreamingResponse(
        answer.aiter_raw(),
        answer.status_code,
        media_type=kind,
        background=BackgroundTask(answer.aclose),
    )


if __name__ == "__main__":
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        backlog=8192,
        access_log=False,
        log_level="warning",
    )
