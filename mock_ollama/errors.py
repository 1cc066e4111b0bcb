"""How each kind of refusal looks on the wire."""

from urllib.parse import unquote

from werkzeug.exceptions import MethodNotAllowed, NotFound

from mock_ollama.directives import DirectiveError
from mock_ollama.goscan import GoRefused
from mock_ollama.refused import Refused
from mock_ollama.routing import allowed_methods, redirection
from mock_ollama.web import MockRequest, error_body

REFUSALS = (Refused, GoRefused, DirectiveError, NotFound, MethodNotAllowed)


def answer_refusal(request: MockRequest, error: BaseException | None) -> None:
    """Write the answer to a request that ended in one of REFUSALS.

    Ollama refuses with error objects; for unknown paths and methods its router, gin, answers in
    plain text. A mistake in a directive is told to the author of the test.
    """
    match error:
        case Refused():
            request.answer(error.status, error_body(error.text, error.signin_url))
        case GoRefused():
            request.answer(400, error_body(str(error)))
        case DirectiveError():
            request.answer(400, error_body(f"mock_ollama: {error}"))
        case _:
            answer_unrouted(request)


def answer_unrouted(request: MockRequest) -> None:
    """Write gin's answer to a request that no route takes: a redirection, 405 or 404."""
    method, path = request.method.decode("latin-1"), unquote(request.path.decode("latin-1"))
    methods = allowed_methods(path)
    location = redirection(method, path)
    if location is not None:
        request.setHeader(b"Location", location.encode())
        if method == "GET":
            link = f'<a href="{location}">Moved Permanently</a>.\n\n'
            request.answer(301, link.encode(), b"text/html; charset=utf-8")
        else:
            request.answer(307, b"", b"text/plain")
    elif methods:
        request.setHeader(b"Allow", ", ".join(methods).encode())
        request.answer(405, b"405 method not allowed", b"text/plain")
    else:
        request.answer(404, b"404 page not found", b"text/plain")
