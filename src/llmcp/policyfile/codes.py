"""Every `P###` code: its title, a general hint, and the paragraph that `llmcp explain` prints.

Rules:
1. A code keeps its meaning for ever; a code that is no longer given stays listed.
2. P0xx is YAML, P1xx the policy's shape, P2xx its conditions, P3xx its tests, P4xx the directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Code:
    """One code. `hint` is shown where a problem brings none of its own."""

    code: str
    title: str
    hint: str
    text: str


_ALL = (
    Code("P001", "not UTF-8", "save the file as UTF-8",
         "Policy files are UTF-8 text. A byte stands here that is not; usually the file was saved in another encoding."),
    Code("P002", "not YAML", "compare the indentation and the quotes with the lines above",
         "The text is not well-formed YAML, so nothing after this place could be read. An unclosed quote or bracket further up is the usual cause."),
    Code("P003", "empty file", "delete the file, or write a policy into it",
         "The file has no content but comments or blanks. An empty policy file is more likely an accident than a wish, so it is an error."),
    Code("P004", "second document", "put each policy into a file of its own",
         "`---` begins a second YAML document. One file holds one policy, so that a problem, a test and an owner belong to one file."),
    Code("P005", "anchor", "write the value out where it is used; quote the text if an `&` is meant",
         "`&name` is YAML's anchor. Anchors and aliases are not accepted: what a rule says must stand where the rule stands."),
    Code("P006", "alias", 'quote a glob that begins with a star: `["*"]`',
         "A bare `*` begins a YAML alias, so `models: [*]` does not mean every model. Write the star in quotes."),
    Code("P007", "merge key", "write the keys out",
         "`<<` is YAML 1.1's merge key. It is not part of YAML 1.2 and is not accepted."),
    Code("P008", "tag", "quote the whole condition: `when: '!flags[\"x\"]'`",
         "A bare `!` begins a YAML tag, so a condition that starts with a negation must be quoted as a whole."),
    Code("P009", "directive", "remove the line",
         "`%YAML` and `%TAG` lines change how a file is read. Policy files are always read as YAML 1.2 with the core schema."),
    Code("P010", "duplicate key", "keep one of the two",
         "The same key stands twice in one mapping. Many parsers silently keep the last one; here it is an error, because one of the two would be inert."),
    Code("P011", "tab", "indent with spaces",
         "YAML forbids tabs in indentation and before keys."),
    Code("P012", "infinite or not a number", "write a finite number",
         "`.inf`, `.nan` and numbers too large for a double can be neither compared nor sent, so a policy cannot use them."),
    Code("P013", "underscored number", "write the digits without `_`, or quote the text",
         "`1_000` is a number in YAML 1.1 and a string in YAML 1.2. Nobody means the string, so the form is refused."),
    Code("P014", "leading zero", "write the number without leading zeros, or quote the text",
         "`010` is eight in YAML 1.1 and ten in YAML 1.2. The form is refused so that it is not read wrongly."),
    Code("P015", "file too large", "split the policy",
         "Policy files are bounded, so that a wrong file in the directory cannot hold up a start."),
    Code("P016", "too deep or too many nodes", "split or flatten the policy",
         "The nesting and the number of values in one policy file are bounded."),
    Code("P017", "key is not a string", "write the key as a plain word, or quote it",
         "Every key of a policy is a string. Numbers, booleans, lists and mappings cannot be keys."),
    Code("P018", "byte order mark", "save the file without it",
         "The file begins with a byte order mark. It is skipped; other tools may trip over it."),
    Code("P019", "control character", "remove the character, or write it as an escape in double quotes",
         "YAML forbids control characters other than tab and line ends."),
    Code("P101", "unknown key", "remove it, or correct its spelling",
         "Only known keys are accepted: a misspelt key would otherwise leave a rule inert."),
    Code("P102", "missing key", "add it",
         "A key that a policy cannot do without is missing."),
    Code("P103", "wrong type", "give the key a value of the type that the message names",
         "The value is of another type than the key takes. In YAML 1.2 `yes`, `no`, `on` and `off` are strings; booleans are `true` and `false`."),
    Code("P104", "unknown effect", "known effects are `allow`, `deny`, `set`, `tools`, `record`",
         "A rule has exactly one effect, and its name is a key of the rule. This key is neither an effect nor one of `id`, `match`, `phase`, `when`."),
    Code("P105", "not exactly one effect", "give the rule exactly one of `allow`, `deny`, `set`, `tools`, `record`",
         "Each rule does exactly one thing. Two effects need two rules with ids of their own, so that the record can tell them apart."),
    Code("P106", "not a policy file", "begin with `apiVersion: llmcp.dev/v1` and `kind: Policy`",
         "The file names another API version or kind than this version reads."),
    Code("P107", "unfit value", "use one of the values that the message names",
         "The value has the right type but lies outside what the key takes."),
    Code("P108", "unfit name", "use lower-case letters, digits, `.`, `_` and `-`, at most 64, beginning with a letter or digit",
         "Names and ids stand in records, headers and commands, so their characters are limited. `default-deny` is reserved. "
         "Parameters are `[a-z_][a-z0-9_]*`."),
    Code("P109", "not supported in this version", "remove it until a version that has it is installed",
         "The key, effect or value belongs to the policy language, but the machinery behind it is not built in this version. It is refused, because an ignored rule is worse than none."),
    Code("P110", "duplicate id", "rename one of the two",
         "Two rules or two exceptions of one policy bear the same id, so a record could not tell which one matched."),
    Code("P111", "duplicate policy name", "rename one of the two policies",
         "Two files define a policy of the same name."),
    Code("P112", "unfit glob", "use `*` for any run of characters and `?` for one; list alternatives one by one",
         "Globs know `*` and `?` only. Negation (`!x`), alternatives (`{a,b}`) and empty globs are refused rather than matched as letters."),
    Code("P113", "no such operation", "operations are chat, text_completion, embeddings, count_tokens, models, files, batches, images, audio, moderation, realtime, other",
         "The glob covers none of the operations, which are a closed list: the rule would never apply."),
    Code("P114", "unfit phase", "remove `phase`, or move the condition into a rule of its own",
         "The effect cannot act in this phase, or the condition reads what that phase does not know yet: a request rule cannot read `response.*`."),
    Code("P115", "unfit exception", "name `deny`, `set`, `tools` or `record` rules of the same policy, or `default-deny`",
         "An exception switches off rules of its own policy. It cannot name rules of another policy, nor an `allow`: switching that off would deny more, not less."),
    Code("P116", "unfit date", "write the day as `2026-12-31`",
         "`expires` is a calendar day. The exception applies until the end of that day, UTC."),
    Code("P117", "expired exception", "remove it, or renew it",
         "The day of `expires` is over, so the exception no longer applies."),
    Code("P118", "unfit parameter", "parameters are strings, numbers, booleans, or lists of one of these",
         "A parameter has one type, fixed by the value in its policy."),
    Code("P119", "unfit test", "a test has `name`, `input` and `expect: {verdict, rules}`",
         "The inline test cannot be run as it stands; its input must have the form that `llmcp policy eval` takes."),
    Code("P120", "too many", "split the policy",
         "The number of rules, exceptions, globs and tests in one policy is bounded."),
    Code("P121", "unknown provider", "`llmcp provider list` shows the providers",
         "The glob covers no provider of the catalog or of the settings, so the scope is empty there: a misspelling, or a provider still to be added."),
    Code("P122", "needs a setting", "set what the message names, or take the rule out",
         "The rule does something that the settings of this machine must allow first."),
    Code("P201", "condition is not CEL", 'conditions are CEL: `request.model == "x" && !request.stream`',
         "The condition is not a well-formed CEL expression."),
    Code("P202", "unknown variable", "variables begin with `request.`, `response.`, `subject.`, `client.` or `params.`; the time is `now`",
         "The condition reads a variable that does not exist. Every variable is typed and known by name, so that a misspelling cannot make a rule inert."),
    Code("P203", "types do not fit", "write `90.0` to compare with a decimal number, `90` with an integer",
         "An operator or function is applied to types that it does not take. CEL does not mix integers and decimals: `request.temperature`, `request.estimated_usd` are decimals, counts are integers."),
    Code("P204", "variable not supported in this version", "remove the rule until a version that has it is installed",
         "The variable belongs to the policy language, but what would fill it is not built in this version."),
    Code("P205", "has() on what is not a map entry", 'test the neutral value (`== ""`, `request.has_max_tokens`) or a map: `"team" in request.labels`',
         "`has()` tells whether a map has an entry. Every variable always has a value, so `has()` on it says nothing."),
    Code("P206", "regular expression refused", "RE2 has no look-around and no back-references",
         "The pattern of `matches()` is not a regular expression of RE2."),
    Code("P207", "regular expression too large", "lower the counts in `{n,m}`, or split the rule",
         "The pattern compiles to a program so large that every evaluation would be slow."),
    Code("P208", "constant part fails", "mend the constant",
         "A part of the condition that depends on nothing fails whenever it is evaluated, so the whole condition would."),
    Code("P209", "condition is not a boolean", "compare the value with something",
         "A condition must be true or false."),
    Code("P211", "stream will be held", "ask about the request instead, or use `tools`, which looks at calls one by one",
         "The condition reads the whole response, so a streamed response is held back until it is complete."),
    Code("P212", "condition too large", "split the rule",
         "The condition is longer or nested deeper than conditions may be."),
    Code("P213", "not a network", 'write an address and a prefix length: `client.in_cidr("10.0.0.0/8")`',
         "`client.in_cidr` takes a constant IPv4 or IPv6 network."),
    Code("P214", "unknown parameter", "add it under `spec.params`",
         "The condition reads a parameter that its policy does not define."),
    Code("P215", "unknown function", "functions are CEL's standard ones, optional values and `client.in_cidr`",
         "The condition calls a function that does not exist."),
    Code("P301", "test failed", "correct the rule or the test",
         "An inline test's expectation differs from what the policy decides."),
    Code("P401", "no policies left", "restore the files, or set `policies.allow_empty: true` where no policy is meant",
         "The last load had policies and this one has none. That is more often an unmounted or half-written directory than a wish, so the last good revision stays."),
    Code("P402", "file cannot be read", "check its permissions",
         "The file or directory exists but cannot be read."),
    Code("P403", "no such path", "correct the path",
         "A path to check does not exist, or is no policy file."),
)  # fmt: skip

CODES: Mapping[str, Code] = MappingProxyType({code.code: code for code in _ALL})


def hint_of(code: str) -> str:
    """Return a code's general hint, or ''."""
    known = CODES.get(code)
    return known.hint if known else ""
