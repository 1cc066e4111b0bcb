"""What went wrong with a connection, in a word for the log."""

from OpenSSL.SSL import Error as TLSError
from twisted.web.client import RequestTransmissionFailed, ResponseFailed


def cause_of(error: BaseException) -> str:
    """The type of the innermost reason; of a fault of TLS also OpenSSL's own words.

    Twisted wraps reasons in reasons: what is outside only says that there was no answer, which an
    expired certificate and a host that crashed have in common.
    """
    while isinstance(error, (ResponseFailed, RequestTransmissionFailed)) and error.reasons:
        error = error.reasons[0].value
    if isinstance(error, TLSError):
        told = error.args[0] if error.args else None
        words = [entry[-1] for entry in told] if isinstance(told, list) else []
        return ": ".join(["TLSError", *words])
    return type(error).__name__
