"""How many tokens a prompt will be, before the model host has counted it (SPEC 7). Pure.

The estimate is the prompt's UTF-8 bytes over a ratio of its model, plus a constant for each image.
A ratio begins at `BYTES_PER_TOKEN` and follows what hosts really count. It follows the lowest tenth
of what is seen, not the middle: prose has twice the bytes per token of digits or of Chinese, and an
estimate that is short is a budget that is passed. Each count moves it by the same small step,
whatever the count says, and never beyond bounds, so that a host that lies is worth no more than
another. Every tenant has ratios of his own: what he sends is nothing to his neighbours.
"""

from collections import OrderedDict

from attrs import define, field

BYTES_PER_TOKEN = 3
"""What a prompt has for one token, before a host has counted any."""

LEAST_RATIO, LARGEST_RATIO = 1.0, 4.5
"""Bytes per token: a vocabulary of bytes has one; more than prose has is never believed."""

IMAGE_TOKENS = 2048
"""For one image: what the common models of vision make of a large one, rounded up."""

LEAST_BYTES = 256
"""A shorter prompt teaches nothing: it is mostly its model's template."""

_STEP = 0.05
_SHORT_SHARE = 0.1


@define
class PromptEstimates:
    """At most `capacity` ratios; the one that is longest out of use goes first."""

    capacity: int = 10_000
    _ratios: OrderedDict[tuple[str, str], float] = field(factory=OrderedDict, init=False)

    def ratio(self, tenant: str, model: str) -> float:
        """The bytes that one token of this model is taken for, in what this tenant sends."""
        return self._ratios.get((tenant, model), BYTES_PER_TOKEN)

    def of(self, tenant: str, model: str, prompt_bytes: int, images: int = 0) -> int:
        """The estimate of a prompt, in tokens, rounded up."""
        # Floor division of the negative rounds up.
        return -int(-prompt_bytes // self.ratio(tenant, model)) + IMAGE_TOKENS * images

    def learn(
        self, tenant: str, model: str, prompt_bytes: int, prompt_tokens: int, *, images: int = 0
    ) -> None:
        """Take note of what a model host has counted.

        Nothing is learnt from a prompt that is short, has images, or was counted as nothing.
        """
        if prompt_bytes < LEAST_BYTES or images or prompt_tokens < 1:
            return
        ratio = self.ratio(tenant, model)
        # Where a tenth of all counts is below the ratio, the steps down and up cancel out.
        if prompt_bytes < ratio * prompt_tokens:
            ratio *= 1 - _STEP * (1 - _SHORT_SHARE)
        else:
            ratio *= 1 + _STEP * _SHORT_SHARE
        self._ratios[tenant, model] = min(max(ratio, LEAST_RATIO), LARGEST_RATIO)
        self._ratios.move_to_end((tenant, model))
        if len(self._ratios) > self.capacity:
            self._ratios.popitem(last=False)
