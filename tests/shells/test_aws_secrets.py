"""AWS Secrets Manager as a source of credentials, against moto's server on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from llmcp.core.settings import CredentialSettings
from llmcp.errors import NotFoundError, UnreachableError, UsageError
from llmcp.stores.secrets.aws import AwsSecrets

KEY = "sk-" + "awsmarker" * 4
REGION = "eu-central-1"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Run a Secrets Manager with three secrets and yield its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "secretsmanager", region_name=REGION, endpoint_url=url, aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    client.create_secret(Name="prod/plain", SecretString=KEY)
    client.create_secret(Name="prod/json", SecretString=json.dumps({"openai": KEY, "count": 3, "nested": {"a": "b"}}))
    client.create_secret(Name="prod/binary", SecretBinary=KEY.encode())
    client.close()
    yield url
    server.stop()


@pytest.fixture
def manager(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> AwsSecrets:
    """Ask that server with credentials from the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    return AwsSecrets(CredentialSettings(aws_region=REGION, aws_endpoint_url=endpoint))


@pytest.mark.parametrize("name", ["prod/plain", "prod/json#openai", "prod/binary"])
def test_a_secret_is_read_by_name_and_by_key(manager: AwsSecrets, name: str) -> None:
    """A text, one value of a JSON object, bytes."""
    assert manager(name) == KEY


def test_a_secret_is_read_by_arn(manager: AwsSecrets, endpoint: str) -> None:
    """The ARN says the region too."""
    client = boto3.client("secretsmanager", region_name=REGION, endpoint_url=endpoint)
    arn = client.describe_secret(SecretId="prod/json")["ARN"]
    client.close()
    assert manager(f"{arn}#openai") == KEY
    assert AwsSecrets(CredentialSettings(aws_endpoint_url=endpoint))(f"{arn}#openai") == KEY


@pytest.mark.parametrize("name", ["prod/none", "prod/plain#openai", "prod/json#other", "prod/json#count", "prod/json#nested"])
def test_what_is_not_there_is_said_without_what_is(manager: AwsSecrets, name: str) -> None:
    """No error quotes a secret, nor chains to one that does."""
    with pytest.raises(NotFoundError) as told:
        manager(name)
    assert KEY not in f"{told.value}{told.value.why}{told.value.fix}"
    assert told.value.__context__ is None or KEY not in str(told.value.__context__)


def test_a_changed_secret_is_seen_at_the_next_read(manager: AwsSecrets, endpoint: str) -> None:
    """Nothing is remembered between reads."""
    client = boto3.client("secretsmanager", region_name=REGION, endpoint_url=endpoint)
    client.create_secret(Name="prod/turning", SecretString="first" * 5)
    assert manager("prod/turning") == "first" * 5
    client.put_secret_value(SecretId="prod/turning", SecretString="second" * 5)
    client.close()
    assert manager("prod/turning") == "second" * 5


def test_a_manager_that_is_away_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The class of the error is said, and where to look."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with pytest.raises(UnreachableError, match="prod/plain") as told:
        AwsSecrets(CredentialSettings(aws_region=REGION, aws_endpoint_url="http://127.0.0.1:9"))("prod/plain")
    assert told.value.why == "EndpointConnectionError"


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`boto3` is no dependency of llmcp."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(UsageError, match="extra `aws`") as told:
        AwsSecrets(CredentialSettings())("x")
    assert "llmcp[aws]" in told.value.fix


def test_the_adapter_loads_boto3_only_when_it_is_asked() -> None:
    """It takes a third of a second."""
    script = (
        "import sys; from llmcp.core.settings import CredentialSettings; from llmcp.stores.secrets.aws import AwsSecrets;"
        "AwsSecrets(CredentialSettings()); print([m for m in ('boto3', 'botocore') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
