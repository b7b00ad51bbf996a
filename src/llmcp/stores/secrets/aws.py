"""Secrets of AWS Secrets Manager, read by name: `SECRET_ID` (a name or an ARN), or one value of a JSON secret with `#KEY`.

Rules:
1. `boto3` is the extra `aws` and is imported when a secret is first asked for; who we are to AWS is its own business (profile,
   environment, instance role).
2. Deadlines are short and attempts few: the daemon asks again by itself.
3. AWS's error codes are passed on, its messages and the secrets never.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from llmcp.errors import LlmcpError, NotFoundError, UnreachableError, UsageError

if TYPE_CHECKING:
    from llmcp.core.settings import CredentialSettings

_CONNECT_S: Final = 5
_READ_S: Final = 10
_REGION_OF_ARN: Final = re.compile(r"arn:[^:]+:secretsmanager:([a-z0-9-]+):")
_REFUSED: Final = frozenset(
    {"AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException"}
)


class AwsSecrets:
    """Asks one Secrets Manager; its clients are made once a region."""

    def __init__(self, settings: CredentialSettings) -> None:
        self._settings = settings
        self._clients: dict[str, Any] = {}

    def __call__(self, name: str) -> str:
        """Return the secret that `SECRET_ID[#KEY]` names. Raises: LlmcpError."""
        secret_id, mark, key = name.partition("#")
        text = self._text(secret_id)
        return _value(text, secret_id, key) if mark else text

    def _text(self, secret_id: str) -> str:
        problem: LlmcpError
        try:
            answer = self._client(secret_id).get_secret_value(SecretId=secret_id)
        except LlmcpError:
            raise
        except Exception as error:  # noqa: BLE001 - boundary: boto3 raises classes made at run time, and values of its own
            problem = _ours(secret_id, error)
        else:
            text = answer.get("SecretString")
            return str(text) if text is not None else bytes(answer.get("SecretBinary", b"")).decode("ascii", "replace")
        raise problem  # outside, so that no traceback leads to what AWS said

    def _client(self, secret_id: str) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
        arn = _REGION_OF_ARN.match(secret_id)
        region = self._settings.aws_region or (arn[1] if arn is not None else "")
        client = self._clients.get(region)
        if client is None:
            client = self._clients[region] = _new_client(region, self._settings.aws_endpoint_url)
        return client


def _new_client(region: str, endpoint_url: str) -> Any:  # noqa: ANN401 - likewise
    try:
        import boto3  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - an extra, and 300 ms
        from botocore.config import Config  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - likewise
    except ImportError:
        raise UsageError(
            "`aws:` needs the extra `aws`",
            why="boto3 is not installed",
            fix="`pip install 'llmcp[aws]'`",
            code="missing-extra",
        ) from None
    config = Config(connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries={"total_max_attempts": 2, "mode": "standard"})
    return boto3.client("secretsmanager", region_name=region or None, endpoint_url=endpoint_url or None, config=config)


def _value(text: str, secret_id: str, key: str) -> str:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, str):
        raise NotFoundError(
            f"the AWS secret `{secret_id}` has no text `{key}`",
            why="it is no JSON object with that key" if not isinstance(document, dict) else "the object has other keys",
            fix="correct the part after `#`, or leave it out for a plain secret",
            code="no-secret",
        )
    return value


def _ours(secret_id: str, error: Exception) -> LlmcpError:
    response = getattr(error, "response", None)
    code = str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
    kind = type(error).__name__
    if code == "ResourceNotFoundException":
        return NotFoundError(
            f"there is no AWS secret `{secret_id}`",
            why=code,
            fix="check name, account and `credentials.aws_region`",
            code="no-secret",
        )
    if code in _REFUSED or kind in {"NoCredentialsError", "PartialCredentialsError"}:
        why, fix = code or kind, "give the daemon AWS credentials that may call secretsmanager:GetSecretValue"
    elif kind == "NoRegionError":
        why, fix = kind, "set `credentials.aws_region`"
    else:
        why, fix = code or kind, "check `credentials.aws_region`, `credentials.aws_endpoint_url` and the network"
    return UnreachableError(f"the AWS secret `{secret_id}` cannot be read", why=why, fix=fix, code="aws")
