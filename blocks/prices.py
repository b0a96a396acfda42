"""What a model call costs, in US dollars, from the price list that the `genai-prices` package bundles."""

from dataclasses import dataclass
from decimal import Decimal

MILLION = Decimal(1_000_000)


@dataclass(frozen=True)
class Tokens:
    """The tokens of one call.

    Args:
        input: all tokens that went in, cached ones included.
        output: all tokens that came out.
        cache_read: the part of `input` that was read from the vendor's cache.
        cache_write: the part of `input` that was written to it.
    """

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0


@dataclass(frozen=True)
class Rates:
    """Prices of one's own, US dollars per million tokens; cached tokens cost the same as others."""

    input: Decimal
    output: Decimal

    def cost(self, tokens: Tokens) -> Decimal:
        """What these tokens cost."""
        return (self.input * tokens.input + self.output * tokens.output) / MILLION


def list_cost(provider: str, model: str, tokens: Tokens) -> Decimal:
    """What these tokens cost by the price list. Long prompts cost more per token with some models.

    Raises:
        LookupError: the list does not have the model.
    """
    from genai_prices import Usage, calc_price

    usage = Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
    )
    return calc_price(usage, model, provider_id=provider).total_price
