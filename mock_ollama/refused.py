"""What a request ends in that Ollama refuses with an error object."""


class Refused(Exception):  # noqa: N818 - an answer of the twin, not a failure in it
    """A refusal: `status` is the HTTP status, `text` the `error`.

    `signin_url` goes with a 401 of a model that only ollama.com has.
    """

    def __init__(self, status: int, text: str, *, signin_url: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.signin_url = signin_url
