"""The use cases behind `app create|list|show|set|remove`.

Rules:
1. An app belongs to one org, which must be there; its name is unique within it.
2. A disabled app's tokens prove nothing until it is enabled again.
3. An app with valid tokens is not removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from llmcp.control.naming import checked_name, checked_title, no_such
from llmcp.control.orgs import differences, find_org
from llmcp.core.identity import App
from llmcp.errors import NotFoundError

if TYPE_CHECKING:
    from llmcp.control.change import Change
    from llmcp.ports.stores import IdentityStore


def create_app(store: IdentityStore, change: Change, org: str, name: str, *, title: str = "") -> App:
    """Create an app. Raises: UsageError, NotFoundError for its org, ConflictError."""
    app = App(org=find_org(store, org).name, name=checked_name(name, "app"), title=checked_title(title), created=change.time)
    store.add_app(app, change.record("app.create", name, org=org, title=title))
    return app


def list_apps(store: IdentityStore, org: str | None = None) -> tuple[App, ...]:
    """Return all apps, or those of one org. Raises: NotFoundError for the org."""
    return store.apps(None if org is None else find_org(store, org).name)


def find_app(store: IdentityStore, org: str, name: str) -> App:
    """Return an app. Raises: NotFoundError for it or its org."""
    apps = list_apps(store, org)
    found = next((app for app in apps if app.name == name), None)
    if found is None:
        error = no_such("app", name, (app.name for app in apps), f"llmcp app list --org {org}")
        others = [app.org for app in store.apps(None) if app.name == name]
        if others:
            error = NotFoundError(f"{error.what} in the org `{org}`", fix=f"say `--org {others[0]}`", code=error.code)
        raise error
    return found


def set_app(
    store: IdentityStore, change: Change, org: str, name: str, *, title: str | None = None, enabled: bool | None = None
) -> tuple[App, App]:
    """Change what is not None; return the app before and after. Raises: NotFoundError, UsageError."""
    before = find_app(store, org, name)
    after = msgspec.structs.replace(
        before,
        title=before.title if title is None else checked_title(title),
        enabled=before.enabled if enabled is None else enabled,
    )
    if after != before:
        store.set_app(after, change.record("app.set", name, org=org, **differences(before, after)))
    return before, after


def remove_app(store: IdentityStore, change: Change, org: str, name: str) -> App:
    """Remove an app; return what it was. Raises: NotFoundError, ConflictError."""
    app = find_app(store, org, name)
    store.remove_app(org, name, change.record("app.remove", name, org=org))
    return app


def app_document(app: App) -> dict[str, Any]:
    """Return what is shown of an app."""
    return {"org": app.org, "name": app.name, "title": app.title, "enabled": app.enabled, "created": app.created}
