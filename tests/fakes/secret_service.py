"""A small Secret Service (the desktop's keyring) on whatever bus the environment names: `python secret_service.py unlocked|locked|none`.

It keeps items in memory, speaks the plain algorithm only, and writes a line on standard output for each thing that would have put
a dialog before a person.

Source: the freedesktop.org Secret Service API specification, draft 0.2.
"""

from __future__ import annotations

import sys
from typing import Any

from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection

_PREFIX = "org.freedesktop.Secret."
_ALIAS = "/org/freedesktop/secrets/aliases/default"
_ITEM = "/org/freedesktop/secrets/item/"
_SESSION = "/org/freedesktop/secrets/session/1"
_PROMPT = "/org/freedesktop/secrets/prompt/1"


class Service:
    """Answers one bus."""

    def __init__(self, connection: DBusConnection, state: str) -> None:
        self.connection = connection
        self.state = state
        self.items: dict[str, tuple[dict[str, str], bytes]] = {}
        self.number = 0

    def run(self) -> None:
        """Answer until the bus goes."""
        while True:
            message = self.connection.receive()
            if message.header.message_type is MessageType.method_call:
                self.connection.send(self.answer(message))

    def answer(self, message: Message) -> Message:
        """Return the reply to one call."""
        fields = message.header.fields
        path, member = fields[HeaderFields.path], fields[HeaderFields.member]
        if member == "Get":
            return self.read(message, path, message.body[1])
        if member == "OpenSession":
            if message.body[0] != "plain":
                return new_error(message, "org.freedesktop.DBus.Error.NotSupported", "s", ("plain only",))
            return new_method_return(message, "vo", (("s", ""), _SESSION))
        if path == _ALIAS and member == "SearchItems":
            wanted = message.body[0].items()
            found = [item for item, (attributes, _) in self.items.items() if wanted <= attributes.items()]
            return new_method_return(message, "ao", (found,))
        if path == _ALIAS and member == "CreateItem":
            return self.create(message, *message.body)
        if path in self.items and member == "GetSecret":
            return new_method_return(message, "(oayays)", ((_SESSION, b"", self.items[path][1], "text/plain"),))
        if path in self.items and member == "Delete":
            del self.items[path]
            return new_method_return(message, "o", ("/",))
        if member == "Unlock" and self.state == "unlocked":  # what is open already needs no dialog
            return new_method_return(message, "aoo", (message.body[0], "/"))
        if member in {"Unlock", "CreateCollection", "Prompt"}:
            print(f"asked: {member}", flush=True)
            body = ([], _PROMPT) if member == "Unlock" else ("/", _PROMPT)
            return new_method_return(message, "aoo" if member == "Unlock" else "oo", body)
        return new_error(message, "org.freedesktop.DBus.Error.UnknownMethod", "s", (str(member),))

    def read(self, message: Message, path: str, name: str) -> Message:
        """Return a property; of a collection that is not there an error."""
        if (path == _ALIAS and self.state == "none") or (path.startswith(_ITEM) and path not in self.items):
            return new_error(message, "org.freedesktop.DBus.Error.UnknownObject", "s", ("no such object",))
        values: dict[str, tuple[str, Any]] = {
            "Label": ("s", "Login"),
            "Locked": ("b", self.state == "locked"),
            "Attributes": ("a{ss}", self.items.get(path, ({}, b""))[0]),
        }
        return new_method_return(message, "v", (values[name],))

    def create(self, message: Message, properties: dict[str, Any], secret: Any, replace: bool) -> Message:
        """Keep an item, in the place of the one with the same attributes."""
        attributes = properties[_PREFIX + "Item.Attributes"][1]
        path = next((item for item, (known, _) in self.items.items() if replace and known == attributes), "")
        if not path:
            self.number += 1
            path = f"{_ITEM}{self.number}"
        self.items[path] = (attributes, bytes(secret[2]))
        return new_method_return(message, "oo", (path, "/"))


def main() -> None:
    """Take the name on the bus, say so, and answer."""
    connection = open_dbus_connection("SESSION")
    bus = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
    assert bus.bus_name == message_bus.bus_name
    connection.send_and_get_reply(message_bus.RequestName("org.freedesktop.secrets"))
    print("ready", flush=True)
    try:
        Service(connection, sys.argv[1]).run()
    except (EOFError, OSError):
        return


if __name__ == "__main__":
    main()
