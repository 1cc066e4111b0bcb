"""How each kind of refusal looks on the wire."""

from werkzeug.exceptions import MethodNotAllowed, NotFound

from mock_ollama.directives import DirectiveError
from mock_ollama.goscan import GoRefused
from mock_ollama.refused import Refused
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
        case MethodNotAllowed():
            allowed = ", ".join(sorted(error.valid_methods or ()))
            request.setHeader(b"Allow", allowed.encode())
            request.answer(405, b"405 method not allowed", b"text/plain")
        case _:
            request.answer(404, b"404 page not found", b"text/plain")
