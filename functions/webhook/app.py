"""Webhook: receives the vendor's signed events by its Function URL, which anybody may call."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from dropscale.aws import wiring
from dropscale.aws.invocation import add_metrics, compose_once, log_and_meter, logger
from dropscale.aws.settings import WebhookSettings
from dropscale.magichour.webhooks import WebhookRefused, WebhookUnsigned
from dropscale.pipeline.parts.measurements import Measurement

_webhook = compose_once(wiring.webhook, WebhookSettings)


@log_and_meter
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    """Return the answer's status: 200 for the vendor's events; 503 asks it to send again; else 401.

    No answer has a body, so a stranger learns nothing.
    """
    try:
        received = _webhook()(event)
    except WebhookRefused as refused:
        error, reason, fix = type(refused).__name__, refused.message, refused.fix
        logger.warning("refused", error=error, reason=reason, fix=fix)
        # Calls without a signature come from strangers who found the URL: no reason for an alarm.
        if not isinstance(refused, WebhookUnsigned):
            _count("webhooks_refused")
        return {"statusCode": 401}
    except Exception:
        logger.exception("an event was not noted; the vendor sends it again")
        _count("webhooks_failed")
        return {"statusCode": 503}
    told = received.event
    _count("webhook_events" if told else "webhook_events_of_others")
    logger.info(
        "event", kind=told and told.kind, project_id=told and told.project_id, woken=received.woken
    )
    return {"statusCode": 200}


def _count(name: str) -> None:
    add_metrics([Measurement(name, "Count", 1)])
