"""The webhook that a client asks for: checked at once, as far as its URL tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.chunks import Webhook
from shared.domain.webhook_targets import Network, TargetRefused, check_literal, read_target


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadWebhook:
    """Reads a webhook's URL; without a secret to sign with there are `enabled` none."""

    enabled: bool
    allowed: Sequence[Network] = ()

    def __call__(self, url: object) -> Webhook:
        """Check `url`; a name is looked up when the webhook is sent. Raises `TargetRefused`."""
        if not self.enabled:
            raise TargetRefused("Webhooks are off here; DRYBEANS_WEBHOOK_SECRETS turns them on.")
        if not isinstance(url, str):
            raise TargetRefused("webhook must be a URL.")
        target = read_target(url)
        check_literal(target, self.allowed)
        return Webhook(url=url, host=target.host)


NO_WEBHOOKS: Final = ReadWebhook(enabled=False)
