"""The gateway's map: prefixes, unified paths, credentials in targets, custom providers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmcp.core.http import Headers, RequestHead, Respond
from llmcp.core.messages import Operation
from llmcp.core.settings import ProviderSettings
from llmcp.errors import UsageError
from llmcp.plugins import dialect_families
from llmcp.ports import Endpoint, Refusal, RefusalKind
from llmcp.providers import openai_chat
from llmcp.providers.catalog import load_catalog
from llmcp.providers.route import Route
from llmcp.providers.surface import CatalogSurface, Family

CATALOG = load_catalog()


class OtherDialect(openai_chat.OpenAiChat):
    """Stands for a dialect of another family: only its name and routes matter to the surface."""

    name = "messages"


_MESSAGES = Family(
    "anthropic",
    (
        (
            OtherDialect(),
            (
                Route(r".*/messages", Operation.CHAT, "messages"),
                Route(r".*/messages/count_tokens", Operation.COUNT_TOKENS, "count"),
                Route(r".*/models", Operation.MODELS, "models", json_body=False),
            ),
        ),
    ),
)
FAMILIES = {"openai": dialect_families()["openai"], "anthropic": _MESSAGES}


def surface(**settings: ProviderSettings) -> CatalogSurface:
    """Return a surface over the real catalog."""
    return CatalogSurface(CATALOG, FAMILIES, settings)


def resolve(target: str, method: str = "POST", headers: Headers = (), **settings: ProviderSettings) -> Any:
    """Resolve one target on a fresh surface."""
    return surface(**settings).resolve(RequestHead(method, target, headers))


def where(target: str, method: str = "POST", **settings: ProviderSettings) -> str:
    """Return the upstream URL of a native target."""
    made = surface(**settings)
    endpoint = made.resolve(RequestHead(method, target, ()))
    assert isinstance(endpoint, Endpoint)
    upstream = made.upstream(endpoint)
    return f"{upstream.origin.scheme}://{upstream.origin.authority()}{upstream.base_path}{endpoint.target}"


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("/openai/v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("/OPENAI/V1/Chat/Completions?a=%2F", "https://api.openai.com/V1/Chat/Completions?a=%2F"),
        ("/anthropic/v1/messages?beta=true", "https://api.anthropic.com/v1/messages?beta=true"),
        ("/groq/openai/v1/chat/completions", "https://api.groq.com/openai/v1/chat/completions"),
        ("/groq/v1/chat/completions", "https://api.groq.com/openai/v1/chat/completions"),
        ("/openrouter/v1/chat/completions", "https://openrouter.ai/api/v1/chat/completions"),
        ("/openrouter/api/v1/chat/completions", "https://openrouter.ai/api/v1/chat/completions"),
        ("/fireworks/v1/chat/completions", "https://api.fireworks.ai/inference/v1/chat/completions"),
        ("/zai/v1/chat/completions", "https://api.z.ai/api/paas/v4/chat/completions"),
        ("/deepseek/chat/completions", "https://api.deepseek.com/chat/completions"),
        ("/perplexity/chat/completions", "https://api.perplexity.ai/chat/completions"),
        ("/perplexity/v1/chat/completions", "https://api.perplexity.ai/chat/completions"),
        ("/perplexity/v1/embeddings", "https://api.perplexity.ai/v1/embeddings"),
        ("/gemini/v1beta/models/m:generateContent", "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent"),
        ("/gemini/v1/models/m:generateContent", "https://generativelanguage.googleapis.com/v1/models/m:generateContent"),
        ("/cohere/v1/chat", "https://api.cohere.com/v1/chat"),
        (
            "/azure/my-res/openai/deployments/d/chat/completions?api-version=1",
            "https://my-res.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
        ),
        ("/azure/my-res/openai/v1/responses", "https://my-res.openai.azure.com/openai/v1/responses"),
        ("/azure/my-res/models/chat/completions", "https://my-res.services.ai.azure.com/models/chat/completions"),
        ("/bedrock/model/m/converse", "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse"),
        (
            "/vertex/v1/projects/p/locations/us-east5/publishers/google/models/m:x",
            "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers/google/models/m:x",
        ),
        (
            "/vertex/v1/projects/p/locations/global/publishers/google/models/m:x",
            "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google/models/m:x",
        ),
        (
            "/vertex/v1/projects/p/locations/evil.com%2Fx/y",
            "https://aiplatform.googleapis.com/v1/projects/p/locations/evil.com%2Fx/y",
        ),
        ("/ollama/v1/chat/completions", "http://127.0.0.1:11434/v1/chat/completions"),
        ("/codex/backend-api/codex/responses", "https://chatgpt.com/backend-api/codex/responses"),
        ("/openai/v1/chat/completions/", "https://api.openai.com/v1/chat/completions/"),
    ],
)
def test_a_native_path_lies_below_its_provider_in_the_clients_spelling(target: str, url: str) -> None:
    """Rule 1."""
    assert where(target) == url


@pytest.mark.parametrize(
    ("target", "name", "base", "url"),
    [
        ("/openai/v1/chat/completions", "openai", "http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1/chat/completions"),
        ("/openai/v1/chat/completions", "openai", "http://127.0.0.1:9", "http://127.0.0.1:9/v1/chat/completions"),
        ("/openai/v1/chat/completions", "openai", "https://x.example/y/v1", "https://x.example/y/v1/chat/completions"),
        ("/groq/v1/models", "groq", "http://127.0.0.1:9", "http://127.0.0.1:9/openai/v1/models"),
        ("/azure/res/openai/v1/responses", "azure", "http://127.0.0.1:9", "http://127.0.0.1:9/openai/v1/responses"),
        (
            "/vertex/v1/projects/p/locations/eu/x",
            "vertex",
            "http://127.0.0.1:9",
            "http://127.0.0.1:9/v1/projects/p/locations/eu/x",
        ),
        (
            "/snowflake/v1/chat/completions",
            "snowflake",
            "https://a.example",
            "https://a.example/api/v2/cortex/v1/chat/completions",
        ),
        ("/bedrock-mantle/v1/responses", "bedrock_mantle", "http://127.0.0.1:9", "http://127.0.0.1:9/v1/responses"),
    ],
)
def test_a_base_url_from_the_settings_moves_the_provider(target: str, name: str, base: str, url: str) -> None:
    """And doubles nothing."""
    assert where(target, **{name: ProviderSettings(base_url=base)}) == url


def test_the_region_comes_from_the_settings() -> None:
    """Bedrock's host."""
    assert where("/bedrock/model/m/x", bedrock=ProviderSettings(region="eu-west-1")).startswith(
        "https://bedrock-runtime.eu-west-1.amazonaws.com/"
    )


def test_timeouts_come_from_the_settings() -> None:
    """Per provider."""
    made = surface(openai=ProviderSettings(idle_s=7))
    endpoint = made.resolve(RequestHead("POST", "/openai/v1/responses", ()))
    assert isinstance(endpoint, Endpoint)
    assert made.upstream(endpoint).timeouts.idle_s == 7


@pytest.mark.parametrize(
    ("method", "target", "operation", "kind"),
    [
        ("POST", "/openai/v1/chat/completions", Operation.CHAT, "chat"),
        ("POST", "/openai/v1/completions", Operation.TEXT_COMPLETION, "completions"),
        ("POST", "/openai/v1/responses", Operation.CHAT, "responses"),
        ("POST", "/openai/v1/responses/compact", Operation.CHAT, "compact"),
        ("POST", "/openai/v1/responses/input_tokens", Operation.COUNT_TOKENS, "input_tokens"),
        ("GET", "/openai/v1/responses/resp_1/input_items", Operation.OTHER, "item"),
        ("POST", "/openai/v1/embeddings", Operation.EMBEDDINGS, "embeddings"),
        ("GET", "/openai/v1/models", Operation.MODELS, "models"),
        ("GET", "/openai/v1/files/f/content", Operation.FILES, "files"),
        ("POST", "/openai/v1/batches", Operation.BATCHES, "batches"),
        ("POST", "/openai/v1/images/generations", Operation.IMAGES, "images"),
        ("POST", "/openai/v1/images/edits", Operation.IMAGES, "images"),
        ("POST", "/openai/v1/audio/transcriptions", Operation.AUDIO, "audio"),
        ("POST", "/openai/v1/moderations", Operation.MODERATION, "moderations"),
        ("GET", "/openai/v1/realtime", Operation.REALTIME, "realtime"),
        ("POST", "/openai/v1/threads/t/runs", Operation.OTHER, "stateful"),
        ("POST", "/openai/v1/vector_stores", Operation.OTHER, "stateful"),
        ("POST", "/openai/v1/fine_tuning/jobs/1/cancel", Operation.OTHER, "stateful"),
        ("GET", "/openai/v1/chat/completions/id", Operation.OTHER, "stored"),
        ("POST", "/azure/res/openai/deployments/d/embeddings", Operation.EMBEDDINGS, "embeddings"),
    ],
)
def test_openai_paths_have_their_operation(method: str, target: str, operation: Operation, kind: str) -> None:
    """The route tables."""
    endpoint = resolve(target, method)
    assert (endpoint.operation, endpoint.kind) == (operation, kind)


def test_the_paths_model_is_the_clients_own_spelling() -> None:
    """Azure deployments, models by id."""
    assert resolve("/azure/res/openai/deployments/GPT-4o%2FEU_x/chat/completions").model == "GPT-4o/EU_x"
    assert resolve("/openai/v1/models/GPT-4o", "GET").model == "GPT-4o"


def test_an_unknown_path_below_a_known_prefix_passes_uninspected() -> None:
    """Rule 3."""
    endpoint = resolve("/openai/v1/brand/new?x=1")
    assert (endpoint.operation, endpoint.inspectable, endpoint.target) == (Operation.OTHER, False, "/v1/brand/new?x=1")
    assert resolve("/nobody/v1/chat/completions") is None
    assert resolve("/v1/brand/new") is None


@pytest.mark.parametrize(
    "target",
    [
        "/openai/../x",
        "/openai//v1",
        "/openai/%2e%2e/x",
        "http://e/x",
        "/azure/Bad_Res/openai/x",
        "/snowflake/v1/chat/completions",
    ],
)
def test_a_refused_target_is_answered_400_in_the_dialects_words(target: str) -> None:
    """With a message that says why."""
    answer = resolve(target)
    assert isinstance(answer, Respond)
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["message"]


@pytest.mark.parametrize("target", ["/", "/anthropic", "/anthropic/", "/openai"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_root_answers_itself(method: str, target: str) -> None:
    """Claude Code asks `HEAD /` of its base URL first."""
    answer = resolve(target, method)
    assert isinstance(answer, Respond)
    assert answer.status == 200


def test_a_key_in_the_query_is_a_credential_under_gemini_only() -> None:
    """Rule 4: it never stays in the target there, and is not remembered."""
    made = surface()
    key = "AIza" + "x" * 10
    endpoint = made.resolve(RequestHead("POST", f"/gemini/v1beta/models/m:generateContent?alt=sse&key={key}", ()))
    assert isinstance(endpoint, Endpoint)
    assert (endpoint.target, endpoint.credential) == ("/v1beta/models/m:generateContent?alt=sse", key)
    assert key not in repr(endpoint)
    assert not made._seen
    assert resolve("/gemini/v1beta/models?%6bey=a&key=b", "GET").credential == "b"
    assert resolve("/openai/v1/models?key=x", "GET").target == "/v1/models?key=x"


def test_a_key_in_a_query_goes_to_no_other_provider() -> None:
    """A value that has the form of another provider's key is taken out, under whatever name it stands."""
    google = "AIza" + "x" * 35
    assert resolve(f"/openai/v1/models?a=1&key={google}", "GET").target == "/v1/models?a=1"
    assert resolve(f"/v1/models?token={google}", "GET").target == "/v1/models"
    assert resolve(f"/openai/v1/models?k={'sk-proj-' + 'x' * 20}", "GET").target.endswith("x")


@pytest.mark.parametrize("hidden", ["x=Bearer%20{}", "{}", "alt=sse;key={}", "{}=1", "a={}"])
def test_a_virtual_key_is_found_wherever_in_a_query_it_stands(hidden: str) -> None:
    """Also behind a scheme, as a name, and after a separator that only some servers know."""
    virtual = "llmcp_" + "x" * 8
    assert resolve(f"/openai/v1/models?b=2&{hidden.format(virtual)}", "GET").target == "/v1/models?b=2"


@pytest.mark.parametrize(
    "target",
    [
        "/openai/v1/chat%2Fcompletions",
        "/vllm/v1%2fchat%2fcompletions",
        "/openai/v1/chat%252Fcompletions",
        "/azure/my-res/openai/deployments/decoy%2Fdeployments%2Fgpt-4o/chat/completions",
        "/azure/my-res/openai%2Fdeployments/m/chat/completions",
    ],
)
def test_an_escaped_slash_does_not_hide_an_endpoint(target: str) -> None:
    """Servers that unescape before they route would serve what no rule was asked about."""
    answer = resolve(target)
    assert isinstance(answer, Respond)
    assert answer.status == 400


def test_an_escaped_slash_inside_a_model_stays() -> None:
    """Model ids have slashes, and clients escape them."""
    assert resolve("/openai/v1/models/org%2Fmodel", "GET").operation is Operation.MODELS


@pytest.mark.parametrize(
    "place", ["/openai/v1/files/{}", "/openai/{}/v1/files", "/v1/models/{}", "/gemini/v1beta/models/{}:generateContent"]
)
@pytest.mark.parametrize("low", ["_", "%5f", "%255F"])
def test_a_path_with_a_virtual_key_in_it_is_refused(place: str, low: str) -> None:
    """Nothing can be dropped of a path."""
    virtual = f"llmcp_{'i' * 11}_{'s' * 41}".replace("_", low)
    answer = resolve(place.format(virtual), "GET")
    assert isinstance(answer, Respond)
    assert answer.status == 400
    assert virtual.encode() not in answer.body


@pytest.mark.parametrize(
    "target", ["/openai/v1/models/llmcp_mini", "/openai/v1/models/llmcp%5Fsmall_x", "/openai/v1/models/100%25"]
)
def test_a_path_that_only_resembles_one_passes(target: str) -> None:
    """A model may be called after us."""
    assert isinstance(resolve(target, "GET"), Endpoint)


@pytest.mark.parametrize("field", ["$httpHeaders=X-Goog-Api-Key:a", "$httpMethod=GET", "%24httpMethod=DELETE", "$HTTPHEADERS=a"])
def test_google_is_not_told_of_another_method_or_of_other_headers(field: str) -> None:
    """Its front ends take both from a query, for web pages."""
    target = f"/gemini/v1beta/models/m:generateContent?{field}&alt=sse"
    assert resolve(target).target == "/v1beta/models/m:generateContent?alt=sse"
    assert "$http" in resolve("/openai/v1/models?$httpMethod=x", "GET").target


@pytest.mark.parametrize(
    "target",
    [
        "/openai/v1/models/ft:gpt-4o:a",
        "/v1/models/ft:gpt-4o:a",
        "/gemini/v1beta/tunedModels/a",
        "/cohere/v1/models/a",
        "/anthropic/v1/models/a",
    ],
)
@pytest.mark.parametrize("method", ["DELETE", "PATCH", "PUT"])
def test_what_changes_a_model_is_no_listing_of_models(target: str, method: str) -> None:
    """Lists of models bind it, where listing is free."""
    found = CatalogSurface(CATALOG, dialect_families(), {}).resolve(RequestHead(method, target, ()))
    if found is None:
        return
    assert isinstance(found, Endpoint)
    assert found.operation is Operation.OTHER
    listed = CatalogSurface(CATALOG, dialect_families(), {}).resolve(RequestHead("GET", target, ()))
    assert listed.operation is Operation.MODELS  # type: ignore[union-attr]


def test_a_virtual_key_in_a_query_goes_nowhere() -> None:
    """Whatever the field's name, also percent-encoded."""
    virtual = "llmcp_" + "x" * 8
    assert resolve(f"/openai/v1/models?a=1&token={virtual}", "GET").target == "/v1/models?a=1"
    assert resolve("/openai/v1/models?t=%6clmcp_x", "GET").target == "/v1/models"
    assert resolve("/openai/v1/models?t=llmcp%25255fx", "GET").target == "/v1/models"
    assert resolve(f"/gemini/v1beta/models?key={virtual}", "GET").credential == virtual


def place(model: str, key_provider: str = "", target: str = "/v1/chat/completions", **settings: ProviderSettings) -> Any:
    """Place a model on a unified path."""
    made = surface(**settings)
    endpoint = made.resolve(RequestHead("POST", target, ()))
    assert isinstance(endpoint, Endpoint)
    assert endpoint.unified
    return made.place(endpoint, model, key_provider)


@pytest.mark.parametrize(
    ("model", "key_provider", "provider", "chosen", "target"),
    [
        ("gpt-4o", "", "openai", "gpt-4o", "/v1/chat/completions"),
        ("grok-4", "", "xai", "grok-4", "/v1/chat/completions"),
        ("groq/llama-3.3-70b", "", "groq", "llama-3.3-70b", "/openai/v1/chat/completions"),
        ("openrouter/anthropic/claude-x", "", "openrouter", "anthropic/claude-x", "/api/v1/chat/completions"),
        ("perplexity/sonar", "", "perplexity", "sonar", "/chat/completions"),
        ("zai/glm-4.7", "", "zai", "glm-4.7", "/api/paas/v4/chat/completions"),
        ("cohere/command-r", "", "cohere", "command-r", "/compatibility/v1/chat/completions"),
        ("my-model", "", "openai", "my-model", "/v1/chat/completions"),
        ("my-model", "cerebras", "cerebras", "my-model", "/v1/chat/completions"),
        ("my-model", "anthropic", "openai", "my-model", "/v1/chat/completions"),
        ("anthropic/claude-x", "openrouter", "openrouter", "anthropic/claude-x", "/api/v1/chat/completions"),
        ("openrouter/auto", "openrouter", "openrouter", "openrouter/auto", "/api/v1/chat/completions"),
        ("qwen3-32b", "groq", "groq", "qwen3-32b", "/openai/v1/chat/completions"),
        ("meta-llama/llama-3", "", "openai", "meta-llama/llama-3", "/v1/chat/completions"),
        ("", "", "openai", "", "/v1/chat/completions"),
    ],
)
def test_the_model_name_picks_the_provider(model: str, key_provider: str, provider: str, chosen: str, target: str) -> None:
    """Rule 2: prefix, then name, then the form of the key; an aggregator's key comes first."""
    endpoint = place(model, key_provider)
    assert (endpoint.provider, endpoint.model, endpoint.target) == (provider, chosen, target)


def test_the_query_of_a_unified_path_is_kept() -> None:
    """As it came."""
    assert place("claude-x", target="/v1/messages?beta=true").target == "/v1/messages?beta=true"


@pytest.mark.parametrize(
    ("target", "model", "native"),
    [
        ("/v1/chat/completions", "claude-sonnet-4-5", "/anthropic"),
        ("/v1/chat/completions", "anthropic/claude-x", "/anthropic"),
        ("/v1/chat/completions", "gemini-2.5-flash", "/gemini"),
        ("/v1/messages", "gpt-4o", "/openai/v1"),
        ("/v1/messages", "gemini-2.5-flash", "/gemini"),
        ("/v1/embeddings", "bedrock/x", "/bedrock"),
    ],
)
def test_a_model_of_the_other_dialect_is_refused_with_its_native_prefix(target: str, model: str, native: str) -> None:
    """Until there is a translation between dialects."""
    refusal = place(model, target=target)
    assert isinstance(refusal, Refusal)
    assert refusal.kind is RefusalKind.BAD_REQUEST
    assert f"`{native}`" in refusal.message


def test_the_models_list_has_the_form_that_the_client_speaks() -> None:
    """`anthropic-version` says Anthropic's."""
    assert resolve("/v1/models", "GET").provider == "openai"
    assert resolve("/v1/models", "GET", ((b"anthropic-version", b"2023-06-01"),)).provider == "anthropic"


def test_where_the_key_goes_is_read_from_its_form() -> None:
    """Each header an SDK uses; virtual keys name nobody."""
    made = surface()
    bearer = (b"authorization", b"Bearer " + b"gsk_" + b"x")
    assert made.key_provider((bearer,)) == "groq"
    assert made.key_provider(((b"x-api-key", b"sk-ant-" + b"x"),)) == "anthropic"
    assert made.key_provider(((b"x-api-key", b"anything"),)) == "anthropic"
    assert made.key_provider(((b"api-key", b"0123"),)) == "azure"
    assert made.key_provider(((b"x-goog-api-key", b"x"),)) == "gemini"
    assert made.key_provider(((b"authorization", b"Bearer " + b"llmcp_" + b"x"),)) == ""
    assert made.key_provider(((b"x-api-key", b"llmcp_" + b"x"),)) == ""
    assert made.key_provider(()) == ""


def test_a_provider_of_ones_own_has_the_prefix_of_its_name() -> None:
    """Settings alone are enough."""
    own = ProviderSettings(base_url="https://llm.example/api/v1", dialect="openai")
    assert where("/my-host/v1/chat/completions", my_host=own) == "https://llm.example/api/v1/chat/completions"
    endpoint = place("my-host/any", my_host=own)
    assert (endpoint.provider, endpoint.model, endpoint.target) == ("my-host", "any", "/api/v1/chat/completions")


@pytest.mark.parametrize(
    "own", [ProviderSettings(), ProviderSettings(base_url="https://x.example"), ProviderSettings(dialect="openai")]
)
def test_a_provider_that_nothing_describes_is_a_settings_error(own: ProviderSettings) -> None:
    """A misspelt name must not be ignored."""
    with pytest.raises(UsageError, match="opneai"):
        surface(opneai=own)


def test_a_provider_may_not_take_a_path_of_the_gateways_own() -> None:
    """`v1` is the unified surface."""
    with pytest.raises(UsageError):
        surface(v1=ProviderSettings(base_url="https://x.example", dialect="openai"))


def test_what_is_remembered_is_bounded() -> None:
    """Rule 5: a client that varies its query does not fill the memory."""
    made = surface()
    for i in range(3000):
        made.resolve(RequestHead("GET", f"/openai/v1/models?i={i}", ()))
    assert len(made._seen) <= 1024


@given(target=st.text(alphabet="/openai.v1%2eE5cF\\;?=#&k \x00é:@~", max_size=40).map("/openai/".__add__) | st.text(max_size=30))
def test_no_target_makes_the_surface_raise_and_none_leaves_its_prefix(target: str) -> None:
    """Fuzz: an endpoint's target begins with a slash and has no dot segment."""
    found = resolve(target, "GET")
    if isinstance(found, Endpoint):
        assert found.target.startswith("/")
        assert not {".", ".."} & set(found.target.partition("?")[0].split("/"))


def test_one_target_is_placed_for_each_method_by_itself() -> None:
    """What was placed for one endpoint is not given to another of the same target."""
    made = CatalogSurface(CATALOG, dialect_families(), {})
    for method in ("POST", "GET", "POST", "GET"):
        endpoint = made.resolve(RequestHead(method, "/v1/messages/batches", ()))
        assert isinstance(endpoint, Endpoint)
        placed = made.place(endpoint, "claude-sonnet-4-5", "anthropic")
        assert isinstance(placed, Endpoint)
        assert (placed.operation, placed.kind) == (endpoint.operation, endpoint.kind)
        assert made.place(endpoint, "claude-sonnet-4-5", "anthropic") is placed


def test_of_several_keys_each_goes_to_its_own_provider_alone() -> None:
    """On unified paths what is not plainly the chosen provider's stays; on native ones what is plainly another's."""
    made = surface()
    openai = (b"authorization", b"Bearer sk-proj-" + b"x" * 20)
    anthropic = (b"x-api-key", b"sk-ant-api03-" + b"x" * 20)
    google = (b"x-goog-api-key", b"AIza" + b"x" * 35)
    own = (b"authorization", b"Bearer of-our-own-making")
    unified = made.resolve(RequestHead("POST", "/v1/chat/completions", ()))
    native = made.resolve(RequestHead("POST", "/openai/v1/chat/completions", ()))
    assert isinstance(unified, Endpoint)
    assert isinstance(native, Endpoint)
    everything = (openai, anthropic, own, google, (b"x-other", b"1"))
    assert made.own_keys(unified, everything) == (openai, (b"x-other", b"1"))
    assert made.own_keys(native, everything) == (openai, own, (b"x-other", b"1"))
