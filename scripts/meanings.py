"""What names mean, for a person: the sentences of generated tables whose other columns come from the code.

A test holds each of these complete: a new setting, variable, record field or refusal without a sentence fails it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen.host": "Address of both listeners; another than loopback needs `--insecure` in this version.",
        "listen.port": "The gateway's port; 0 takes any free one.",
        "listen.admin_port": "The admin listener's port.",
        "limits.header_bytes": "Largest request head (431 beyond), and largest head of a provider's answer.",
        "limits.request_body_bytes": "Largest request body (413 beyond), also once decompressed (400 beyond).",
        "limits.held_response_bytes": "Largest response that a rule may hold back (refused beyond).",
        "limits.header_timeout_s": "Time for a whole request head.",
        "limits.body_idle_timeout_s": "Longest pause between two pieces of a request body.",
        "limits.keep_alive_s": "How long an idle client connection is kept.",
        "limits.client_write_timeout_s": "How long a client may leave a response unread.",
        "limits.max_connections": "Clients at a time; further ones get 503.",
        "limits.drain_s": "Time for open requests when the daemon stops.",
        "auth.require_virtual_key": "Refuse whoever shows no virtual key (or token of the issuer); no key of a client's own passes.",
        "auth.jwt.issuer": "The `iss` of tokens that are taken for virtual keys, letter by letter; empty: none are.",
        "auth.jwt.audience": "One of these must be the token's `aud`; without any, no token of the issuer is taken.",
        "auth.jwt.algorithms": "Signatures that are taken; also RS384, RS512, PS256, PS384, PS512, ES384 and ES512.",
        "auth.jwt.claims.org": "The claim that names the org (dots lead into objects); empty: everybody is of `default`.",
        "auth.jwt.claims.app": "The claim that names the app; empty: none.",
        "auth.jwt.claims.user": "The claim that names the user; empty: none.",
        "auth.jwt.claims.groups": "The claim that lists groups (a list, or words in a text); empty: none.",
        "auth.jwt.leeway_s": "How far the issuer's clock may be off.",
        "auth.jwt.refresh_s": "How often the issuer's keys are fetched again.",
        "providers.NAME.base_url": "Another place for this provider; https unless loopback.",
        "providers.NAME.region": "Region or location where the provider's host name has one.",
        "providers.NAME.connect_s": "Deadline for a connection; 0 is none, here and below.",
        "providers.NAME.first_byte_s": "Deadline for the first byte of an answer.",
        "providers.NAME.idle_s": "Longest pause within an answer.",
        "providers.NAME.total_s": "Deadline for the whole exchange.",
        "policies.allow_empty": "Accept that the last policy disappears.",
        "policies.poll_s": "How often files are compared besides being watched.",
        "record.queue": "Records that may wait for the store.",
        "record.body_bytes": "As much of each body as is kept; what is longer is cut, and marked so.",
        "credentials.backend": "Where secrets lie: `keychain`, `file`, or `auto`: the OS keychain where one can be used, else the file.",
        "credentials.refresh_s": "How often secrets from outside the store (`aws:`) are read again.",
        "credentials.aws_region": "Region of AWS Secrets Manager; empty: that of the ARN, else boto3's own.",
        "ledger.checkpoint_records": "Sign a checkpoint when so many records came since the last.",
        "ledger.checkpoint_s": "Sign one at the latest so many seconds after a record came.",
        "retention.bodies_days": "Days that kept bodies stay; 0 keeps them.",
        "retention.rows_days": "Days that decision records stay; 0 keeps them. Usage stays in any case.",
        "log.level": "`debug`, `info`, `warning` or `error`, on standard error.",
        "log.format": "`text` or `json`.",
        "pricing.default_input_microusd_per_mtok": "Price of a million input tokens of an unknown model, in micro-USD.",
        "pricing.default_output_microusd_per_mtok": "The same for output tokens.",
        "counters": "Where shared counters are; only memory in this version.",
    }
)
"""For settings that do not describe themselves."""

VARIABLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "request.model": ("the model as sent; on unified paths without its `provider/`", '`""`'),
        "request.provider": ("the provider's name, as in `llmcp provider list`", '`""`'),
        "request.operation": ("one of the operations below", "always known"),
        "request.stream": ("a streamed answer was asked for", "`false`"),
        "request.max_tokens": ("the output limit that was asked for", "`2^63 - 1`"),
        "request.has_max_tokens": ("an output limit was asked for", "`false`"),
        "request.temperature": ("the temperature that was asked for", "`1.0`"),
        "request.input_tokens": ("estimated from sizes before sending", "always known"),
        "request.estimated_usd": (
            "estimated price of the input and of as much output as was asked for (4096 tokens where nothing was said)",
            "always known",
        ),
        "request.tools": ("names of the offered tools; the type of a server tool without a name", "`[]`"),
        "request.labels": ("labels of the token; where only `set` or `record` hangs on it, also of the client", "`{}`"),
        "request.text": ("all texts of all turns, joined by newlines (4 Mi characters at most)", '`""`'),
        "request.turns": ("how many messages the request has", "`0`"),
        "response.model": ("the model that answered", '`""`'),
        "response.finish_reasons": ("the provider's own words, one per choice", "`[]`"),
        "response.tools": ("names of the called tools", "`[]`"),
        "response.text": ("all texts of the answer, joined by newlines (as many)", '`""`'),
        "subject.org": ("org of the token", '`"default"`'),
        "subject.app": ("app of the token", '`""`'),
        "subject.user": ("user of the token", '`""`'),
        "subject.groups": ("groups of the token", "`[]`"),
        "subject.key_id": ("the token's id", '`""`'),
        "subject.agent": ("agent of the token", '`""`'),
        "subject.labels": ("labels of the token", "`{}`"),
        "client.ip": ("address of the connection; for networks use `client.in_cidr`", '`""`'),
        "client.user_agent": ("the `user-agent` header, at most 256 bytes", '`""`'),
        "client.agent": ("coding agent, by its own headers or user agent", '`""`'),
        "client.session": ("the agent's session, by its own headers", '`""`'),
        "now": ("the moment of the decision, UTC", "always known"),
    }
)
"""Meaning, and what the variable is where nobody said anything."""

RECORD: Mapping[str, str] = MappingProxyType(
    {
        "action": "What was done; `llm.request`.",
        "agent": "The coding agent that asked, by its own headers or user agent.",
        "app": "App of the token; empty where it names none.",
        "bodies.request": "Name of the request's body that a `record` rule kept (`body:` and a salted hash); empty where none was.",
        "bodies.response": "The same for the answer's body.",
        "cost_microusd": "What the exchange cost, in millionths of a US dollar.",
        "decision_id": "The id in `x-llmcp-decision-id` and in a refusal's message.",
        "edits[].field": "The request field that a rule wrote; `tools` for a stripped offer.",
        "edits[].new": "Its new value as text; empty for a stripped tool.",
        "edits[].old": "Its value before, where llmcp read it; for a stripped tool its name.",
        "error_type": "What went wrong: llmcp's code, else the provider's error type or code, else its status.",
        "facts.client_ip": "Address of the client's connection, a person by reference unless it is loopback.",
        "facts.client_user_agent": "The client's `user-agent`.",
        "facts.estimated_microusd": "Estimated price before sending (input, and output up to the limit asked for); 0 where no rule in scope asked.",
        "facts.has_max_tokens": "The request had an output limit.",
        "facts.input_tokens": "Estimated input before sending; 0 where no rule in scope asked.",
        "facts.max_tokens": "The limit that was asked for (before any edit).",
        "facts.stream": "A streamed answer was asked for.",
        "facts.temperature": "The temperature that was asked for, as text; empty where none was.",
        "facts.text_bytes": "UTF-8 bytes of all texts that were read.",
        "facts.tools": "Names of the offered tools (at most 128).",
        "facts.turns": "How many messages the request had.",
        "faults[].acted": "Whether `onError: deny` refused because of it.",
        "faults[].id": "The rule or exception whose condition did not run.",
        "faults[].policy": "Its policy.",
        "faults[].why": "Why it did not run; never a value of the request.",
        "findings[].action": "What was done about it; empty in this version.",
        "findings[].count": "How often it was met.",
        "findings[].kind": "What a detector met; no detectors in this version.",
        "flags": "Variants of the flags that were asked; none in this version.",
        "gen_ai.cache_write_tokens": "Input tokens that were written to the provider's cache; part of `input_tokens`.",
        "gen_ai.cached_tokens": "Input tokens that were read from the provider's cache; part of `input_tokens`.",
        "gen_ai.finish_reasons": "Why the answer ended, in the provider's words, one per choice.",
        "gen_ai.input_tokens": "All input tokens, cache reads and writes included, whatever the provider's convention.",
        "gen_ai.output_tokens": "All output tokens, reasoning included.",
        "gen_ai.provider": "The provider's name, as in `llmcp provider list`.",
        "gen_ai.reasoning_tokens": "Reasoning tokens, where the provider tells; part of `output_tokens`.",
        "gen_ai.request_model": "The model as asked for.",
        "gen_ai.response_model": "The model that answered, where the answer names it.",
        "gen_ai.streamed": "The answer was, or was asked to be, a stream.",
        "gen_ai.tools": "Names of the tools that the answer calls (at most 128).",
        "gen_ai.usage_source": "Who counted the tokens; see below.",
        "groups": "Groups of the token.",
        "id": "Unique among all records; the decision id for an exchange's record.",
        "inspection.request.bytes": "Size of the request body as received.",
        "inspection.request.scanned": "A dialect read the body.",
        "inspection.request.skipped[].what": "A part that was not read.",
        "inspection.request.skipped[].why": "Why it was not.",
        "inspection.response.bytes": "Size of the response body, content encoding removed.",
        "inspection.response.scanned": "All of it was read.",
        "inspection.response.skipped[].what": "A part that was not read.",
        "inspection.response.skipped[].why": "Why it was not.",
        "key_id": "Id of the virtual key (`tok_…`), or `jwt:` and the key that signed; empty for a client with its own provider key.",
        "labels": "Labels of the token, and what `x-llmcp-labels` said besides; the token's own win.",
        "latency_ms": "From the request's head to the exchange's end.",
        "operation": "`chat`, `text_completion`, `embeddings`, `count_tokens`, `models`, `files`, `batches`, `images`, `audio`, "
        "`moderation`, `realtime` or `other`.",
        "org": "Org of the token; `default` without one.",
        "outcome": "How it ended; see below.",
        "overhead_us": "llmcp's own time before the request went out, in microseconds.",
        "price_source": "Where the price comes from; see below.",
        "revision": "The revision that decided: a hash of policies and settings.",
        "rules[].effect": "Effect of a rule that matched and was enforced.",
        "rules[].id": "Its id, or `default-deny`.",
        "rules[].mode": "The policy's mode, `enforce`.",
        "rules[].policy": "Its policy.",
        "seq": "Number in the store, without gaps.",
        "session": "The agent's session, by its own headers.",
        "stream": "`decision`; what operators change is in `control`, below.",
        "time": "End of the exchange, RFC 3339, UTC, microseconds.",
        "upstream.attempts": "How often the provider was asked; 0 where it was not.",
        "upstream.status": "The provider's HTTP status; 0 where it never answered.",
        "user": "User of the token, a person by reference; empty where it names none.",
        "v": "Version of this form.",
        "warnings": "Rules in mode `warn` that matched, as `policy/rule`.",
        "would_be.rules[].effect": "Effect of a rule that matched, enforced or not.",
        "would_be.rules[].id": "Its id.",
        "would_be.rules[].mode": "Its policy's mode.",
        "would_be.rules[].policy": "Its policy.",
        "would_be.verdict": "What would have been decided, had `warn` and `audit` been enforced; empty where neither matched.",
    }
)

CONTROL: Mapping[str, str] = MappingProxyType(
    {
        "action": "What was done, `noun.verb`: `token.create`, `key.rotate`, `config.set`, `audit.prune` …",
        "actor": "Who did it: `local:` and the name of the OS user, a person by reference; or `daemon`.",
        "detail": "What else matters, as texts; never a secret, a key or a digest.",
        "id": "Unique among all records.",
        "org": "The org that it concerns; empty where it concerns all.",
        "outcome": "`done`.",
        "seq": "Number in this stream, without gaps.",
        "stream": "`control`.",
        "target": "What was changed: an id or a name.",
        "time": "When, RFC 3339, UTC, microseconds.",
        "user": "The user whom it concerns (of a token), a person by reference.",
        "v": "Version of this form.",
    }
)

DAMAGES: Mapping[str, str] = MappingProxyType(
    {
        "record-altered": "a record is not what its leaf was made of",
        "record-missing": "a record is gone, and its leaf is there",
        "record-unexpected": "a record stands where none belongs, or has no leaf",
        "column-altered": "a column beside a record does not say what the record says",
        "usage-altered": "the sums of usage are not those of the records",
        "person-altered": "the name behind a reference is not the one that the reference was made of",
        "body-altered": "a kept body is gone without a pruning, or is not what its name says",
        "schema-altered": "a table, index, view or trigger is not one that llmcp makes",
        "tile-altered": "a leaf or a hash of the tree was changed, and the records were not",
        "tile-missing": "hashes of the tree are gone",
        "tile-unexpected": "hashes are there that belong to no record",
        "range-altered": "records and their hashes were changed together; a checkpoint or the hash above gives it away",
        "checkpoint-altered": "a checkpoint's row does not say what its note says, or its root is not the tree's",
        "checkpoint-signature": "a note's signature does not verify",
        "checkpoint-key": "a note is signed by a key that is not trusted",
        "checkpoint-chain": "a checkpoint is gone, or does not follow from the one before",
        "log-truncated": "a checkpoint or an anchor covers more records than there are",
        "pruning-altered": "what is said to be pruned is not what control record and tree say",
        "anchor-conflict": "an anchor holds another state of the log than the store does",
        "anchor-unreadable": "an anchor could not be read, so nothing was compared with it",
        "key-changed": "the public key beside the log is not that of the key in the secret store",
        "records-without-leaves": "records and tree are not connected: the file was put together by something else",
    }
)

OUTCOMES: Mapping[str, str] = MappingProxyType(
    {
        "error": "the provider answered with an error, could not be reached or broke off; the client left; or llmcp failed",
        "cut": "a rule ended a stream that had begun",
        "denied": "a rule, or a missing or wrong key, refused it",
        "held": "it waits for an approval (not in this version)",
        "redacted": "something was taken out (not in this version)",
        "edited": "a rule wrote a field or took a tool out",
        "cached": "answered from memory (not in this version)",
        "allowed": "it passed as it was",
    }
)

USAGE_SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "provider": "the provider reported the tokens",
        "estimated": "llmcp counted what passed: a stream broke off, or came without usage",
        "none": "nothing is charged: listings, files, refusals, errors",
    }
)

PRICE_SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "provider": "the provider stated the cost",
        "table": "the price table has this provider's model",
        "inferred": "the table has the model under the provider that made it",
        "default": "the model is unknown: the price is `pricing.default_…`",
        "local": "a provider on one's own machine: free",
        "none": "nothing was counted",
    }
)

REFUSALS: Mapping[str, str] = MappingProxyType(
    {
        "llmcp_policy_denied": "a rule refused the request or the response, an edit is impossible, or the virtual key is not good for this provider or model",
        "llmcp_rate_limited": "later: `limit` is not built",
        "llmcp_budget_exceeded": "later: `limit` is not built",
        "llmcp_approval_required": "later: `hold` is not built",
        "llmcp_unavailable": "llmcp cannot check: no valid revision, store full or broken, the issuer's keys not known yet, a fault of its own",
        "llmcp_unauthenticated": "virtual key or token that proves nothing, no virtual key where one is required, no credential stored for the provider, "
        "key of another provider on a unified path, SigV4 signature",
        "llmcp_bad_request": "a body or path that cannot be read, or could be read in two ways",
        "llmcp_not_found": "nothing is served at this path",
        "llmcp_unsupported_media_type": "another content type than JSON where JSON is due",
        "llmcp_too_large": "the body exceeds `limits.request_body_bytes`",
        "llmcp_upstream_failed": "no connection to the provider, or no valid answer",
        "llmcp_upstream_timeout": "one of the provider's deadlines passed",
    }
)
