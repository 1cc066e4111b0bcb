"""A bare relay on aiohttp, as one would write it in an afternoon. `aiohttp_relay.py PORT UPSTREAM`.

A client that goes cancels the handler, and with it the request upstream.
"""

import sys
from collections.abc import AsyncIterator

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

UPSTREAM = web.AppKey("upstream", str)
SESSION = web.AppKey("session", ClientSession)


async def relay(request: web.Request) -> web.StreamResponse:
    """Pass one request on, and its answer back as it comes."""
    body = await request.read()
    url = request.app[UPSTREAM] + request.path
    headers = {"Content-Type": "application/json"}
    async with request.app[SESSION].post(url, data=body, headers=headers) as answer:
        kind = answer.headers.get("Content-Type", "application/json")
        if answer.content_length is not None:
            content = await answer.read()
            return web.Response(status=answer.status, body=content, headers={"Content-Type": kind})
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": kind})
        await response.prepare(request)
        async for piece in answer.content.iter_any():
            await response.write(piece)
        await response.write_eof()
        return response


async def with_session(app: web.Application) -> AsyncIterator[None]:
    """Keep one pool of connections for the application's life."""
    connector = TCPConnector(limit=0)
    async with ClientSession(connector=connector, timeout=ClientTimeout(total=None)) as session:
        app[SESSION] = session
        yield


if __name__ == "__main__":
    application = web.Application()
    application[UPSTREAM] = sys.argv[2]
    application.cleanup_ctx.append(with_session)
    application.router.add_post("/{path:.*}", relay)
    options = {"handler_cancellation": True, "backlog": 8192, "access_log": None, "print": None}
    web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), **options)
