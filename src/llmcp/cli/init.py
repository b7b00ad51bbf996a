"""`llmcp init`: a home with commented settings and a first policy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from llmcp.cli.render import JsonFlag, say

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """\
# Settings of llmcp. Every key has a default; what stands here commented out shows it.
# The environment overrides this file (LLMCP_<SECTION>__<KEY>), flags override the environment.

# listen:
#   host: 127.0.0.1        # another address needs --insecure in this version
#   port: 8900             # the gateway; 0 takes any free port
#   admin_port: 8902

# providers:               # a provider's place and deadlines, in seconds
#   openai:
#     base_url: https://api.openai.com
#     first_byte_s: 600

# auth:
#   require_virtual_key: false   # true: only keys of `llmcp token create` and of the issuer below are served
#   jwt:                   # tokens of an OIDC issuer that are taken for virtual keys
#     issuer: https://login.example.com
#     audience: [llmcp]

# credentials:             # provider keys: `llmcp key set openai`; never in this file
#   backend: auto          # keychain, file; auto: the keychain where there is one

# ledger:
#   checkpoint_s: 60       # how often the log is signed
#   anchors: []            # copies of checkpoints elsewhere: file:PATH, git:DIRECTORY, https://...

# retention:               # days; 0 keeps them
#   rows_days: 0
#   bodies_days: 30

# policies:
#   paths: []              # none: the directory `policies` beside this file

# log:
#   level: info            # debug, info, warning, error
#   format: text           # text, json
"""

POLICY = """\
# A policy: what may be asked, and what is changed on the way. `llmcp policy check` reads it as the daemon does.
apiVersion: llmcp.dev/v1
kind: Policy
metadata:
  name: starter
  title: A first policy
spec:
  mode: enforce            # warn: say so in a header; audit: only record
  params: {ceiling: 8192}
  rules:
    - id: cap-output
      when: request.max_tokens > params.ceiling
      set: {max_tokens: 8192}
  tests:
    - name: a silent request gets the cap
      input: {request: {model: gpt-4o-mini, operation: chat}}
      expect: {verdict: allow, rules: [cap-output]}
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(init)


def init(as_json: JsonFlag = False) -> None:
    """Make the home: `llmcp.yaml` with the common settings commented out, and a first policy.

    Leaves alone what is there already. Writes to LLMCP_HOME, or to the platform's own directories. Example: llmcp init
    """
    from llmcp import wiring
    from llmcp.config.home import make_private, write_private

    home = wiring.home()
    made: list[Path] = home.create()
    first_policies = make_private(home.policies)
    for path, text in ((home.settings_file, SETTINGS), (home.policies / "starter.yaml", POLICY)):
        if not path.exists() and (path == home.settings_file or first_policies):
            write_private(path, text)
            made.append(path)
    if as_json:
        print(json.dumps({"home": str(home.config), "written": [str(path) for path in made]}))
        return
    for path in made:
        say(f"wrote {path}")
    if not made:
        say(f"nothing to do: {home.config} is a home already")
        return
    say(f"undo: delete {home.config}")
    say('next: `llmcp serve`, then `eval "$(llmcp env)"`')
