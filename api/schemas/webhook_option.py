"""The webhook option: its URL is validated when the job is submitted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.chunks import Webhook
from shared.domain.webhook_targets import Network, TargetRefused, check_literal, read_target


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadWebhook:
    """Validate the URL of a webhook; webhooks are `enabled` if a signing secret is set."""

    enabled: bool
    allowed: Sequence[Network] = ()

    def __call__(self, url: object) -> Webhook:
        """Return the webhook of `url`. Raise `TargetRefused`.

        A host name is resolved and checked only when the webhook is sent.
        """
        if not self.enabled:
            raise TargetRefused("Webhooks are disabled; DRYBEANS_WEBHOOK_SECRETS enables them.")
        if not isinstance(url, str):
            raise TargetRefused("webhook must be a URL.")
        target = read_target(url)
        check_literal(target, self.allowed)
        return Webhook(url=url, host=target.host)


NO_WEBHOOKS: Final = ReadWebhook(enabled=False)
