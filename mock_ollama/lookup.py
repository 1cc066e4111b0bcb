"""Which installed model a request means, and what it may ask of it, in each route's words."""

from attrs import frozen

from mock_ollama.asking import Ask
from mock_ollama.catalogue import Catalogue, Model
from mock_ollama.names import read_reference
from mock_ollama.recorder import Entry
from mock_ollama.refused import Refused

_SIGNIN_URL = "https://ollama.com/connect?name=mock&key=bW9jaw"


@frozen
class Lookup:
    """How one route refuses a model: where none is named, and where the named one is unknown.

    `unknown` is a text with a place for the name, either as the client `used` it or the `shortest`
    with a tag.
    """

    status: int
    blank: str
    unknown: str = "model '{used}' not found"

    def find(self, catalogue: Catalogue, entry: Entry, used: str) -> Model:
        """Give the model that a request means, and note if it would have gone to ollama.com.

        Raises Refused where Ollama would refuse the name, or has no such model.
        """
        reference = read_reference(used)
        if reference is None:
            raise Refused(self.status, self.blank)
        if reference.is_cloud:
            entry.cloud = True
            raise Refused(401, "unauthorized", signin_url=_SIGNIN_URL)
        model = catalogue.find(reference.name)
        if model is None:
            shortest = reference.name.shortest
            raise Refused(404, self.unknown.format(used=used, shortest=shortest))
        return model


_REQUIRED = "model is required"
_EMPTY = "model '' not found"
_PULL = 'model "{used}" not found, try pulling it first'

CHAT_LOOKUP = Lookup(400, _REQUIRED)
GENERATE_LOOKUP = Lookup(404, _EMPTY)
SHOW_LOOKUP = Lookup(400, _REQUIRED, "model '{shortest}' not found")
EMBED_LOOKUP = Lookup(404, _EMPTY, _PULL)
EMBEDDINGS_LOOKUP = Lookup(400, _REQUIRED, _PULL)


def check_capable(model: Model, ask: Ask, route: str) -> None:
    """Check that a model can do what a request asks of it.

    Raises Refused (400) in Ollama's words.
    """
    if "thinking" in ask.needs and "thinking" not in model.capabilities:
        raise Refused(400, f'"{ask.model}" does not support thinking')
    if "completion" not in model.capabilities:
        raise Refused(400, f'"{ask.model}" does not support {route}')
    missing = [need for need in ask.needs if need not in model.capabilities]
    if missing:
        raise Refused(400, f"{model.full_name} does not support " + "\n".join(missing))


def check_embeds(model: Model, status: int) -> None:
    """Check that a model makes vectors.

    Raises Refused with the status of the route.
    """
    if "embedding" not in model.capabilities:
        raise Refused(status, "this model does not support embeddings")
