"""A small real OIDC issuer on loopback: discovery document, JWKS, tokens, rotation, several kinds of keys, and bad days.

Rules:
1. `keys` is what the JWKS says, in order; `add`, `remove` and `rotate` change it while it serves.
2. `token(…)` signs with any key, published or not; claims left out get good values, claims set to `...` are left out.
3. `mood` says how it answers: `well`, `down` (connections are closed at once), `garbage`, `redirect`, `huge`, `error`, `drip`, `gzip`.
4. `asked` counts the requests by path.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
AUDIENCE = "llmcp"


def private_key(kind: str, number: int = 0) -> Any:
    """Return a private key; the same for the same words, since RSA keys take long to make."""
    return _made(kind, number)


@cache
def _made(kind: str, _number: int) -> Any:
    match kind:
        case "RSA":
            return rsa.generate_private_key(65537, 2048)
        case "RSA-1024":
            return rsa.generate_private_key(65537, 1024)  # noqa: S505 - it is to be refused
        case "P-256":
            return ec.generate_private_key(ec.SECP256R1())
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "P-521":
            return ec.generate_private_key(ec.SECP521R1())
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
    raise ValueError(kind)


def public_jwk(kind: str, number: int = 0, **members: Any) -> dict[str, Any]:
    """Return the public JWK of a key, with `members` over it."""
    public = private_key(kind, number).public_key()
    by_kind = RSAAlgorithm if kind.startswith("RSA") else OKPAlgorithm if kind == "Ed25519" else ECAlgorithm
    return {**json.loads(by_kind.to_jwk(public)), "use": "sig", **members}


def claims_of(issuer: str, **claims: Any) -> dict[str, Any]:
    """Return good claims with `claims` over them; `...` takes one out."""
    at = int(NOW.timestamp())
    good = {
        "iss": issuer, "aud": AUDIENCE, "iat": at - 10, "exp": at + 600, "org": "acme", "azp": "billing", "sub": "u-1",
        "groups": ["eng", "ops"],
    }  # fmt: skip
    return {name: value for name, value in {**good, **claims}.items() if value is not ...}


def signed(claims: dict[str, Any], kind: str = "RSA", algorithm: str = "RS256", *, number: int = 0, **head: Any) -> str:
    """Return a token signed with a key; members of `head` that are `...` are left out."""
    said = {name: value for name, value in {"typ": "JWT", "kid": "k1", **head}.items() if value is not ...}
    return jwt.encode(claims, private_key(kind, number), algorithm, headers=said)


class OidcIssuer:
    """See the module's rules. A context manager: it listens inside."""

    def __init__(self) -> None:
        self.mood = "well"
        self.keys: list[dict[str, Any]] = [public_jwk("RSA", kid="k1", alg="RS256")]
        self.discovery: dict[str, Any] = {}
        self.asked: Counter[str] = Counter()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """The issuer's name."""
        return f"http://127.0.0.1:{self._server.server_port}/realms/test"

    @property
    def jwks_uri(self) -> str:
        """Where the keys are."""
        return f"{self.url}/certs"

    def rotate(self, kid: str, number: int) -> None:
        """Put one new key in the place of all."""
        self.keys = [public_jwk("RSA", number, kid=kid, alg="RS256")]

    def token(self, **claims: Any) -> str:
        """Return a good token of the first key, with `claims` over the good ones."""
        return signed(claims_of(self.url, **claims))

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked[self.path] += 1
                issuer.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                pass

        return Handler

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request as the mood is."""
        if self.mood == "down":
            request.close_connection = True
            return None
        if self.mood == "redirect":
            return _send(request, 302, b"", location=self.jwks_uri)
        if self.mood == "error":
            return _send(request, 500, b"{}")
        if self.mood == "huge":
            return _send(request, 200, b'{"keys":[]' + b" " * 300_000 + b"}")
        if self.mood == "garbage":
            return _send(request, 200, b"<html>sign in</html>")
        if self.mood == "drip":
            return _drip(request)
        coding = {"content-encoding": "gzip"} if self.mood == "gzip" else {}
        if request.path.endswith("/.well-known/openid-configuration"):
            document: Any = {"issuer": self.url, "jwks_uri": self.jwks_uri, **self.discovery}
        else:
            document = {"keys": self.keys}
        return _send(request, 200, json.dumps(document).encode(), **coding)


def _send(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    request.send_response(status)
    for name, value in {"content-type": "application/json", "content-length": str(len(body)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


def _drip(request: BaseHTTPRequestHandler) -> None:
    """Send a byte now and then, for longer than anybody waits."""
    request.send_response(200)
    request.send_header("content-length", "1000")
    request.end_headers()
    for _ in range(40):
        try:
            request.wfile.write(b" ")
            request.wfile.flush()
        except OSError:
            return
        time.sleep(0.05)
