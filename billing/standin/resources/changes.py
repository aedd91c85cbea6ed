"""Changing an object and telling what changed, as `*.updated` events do."""

from typing import Any

from billing.standin.failures import invalid

MOST_METADATA = 50
LONGEST_NAME = 40
LONGEST_VALUE = 500


def metadata(given: Any, before: dict[str, str] | None = None) -> dict[str, str]:
    """
    Give an object's metadata after a request.

    An empty value removes its key, an empty text in place of the whole removes all.
    """
    if given is None:
        return dict(before or {})
    if given == "":
        return {}
    after = {**(before or {}), **given}
    after = {key: value for key, value in after.items() if value != ""}
    if len(after) > MOST_METADATA:
        raise invalid(f"Metadata may have at most {MOST_METADATA} keys.", "metadata")
    for key, value in after.items():
        if len(key) > LONGEST_NAME or len(value) > LONGEST_VALUE:
            raise invalid(
                f"Metadata keys can be up to {LONGEST_NAME} characters long and values up to "
                f"{LONGEST_VALUE}: {key}",
                f"metadata[{key}]",
            )
    return after


def change(thing: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """
    Set fields of an object; an empty text sets null. Return the old values of what differs.

    An empty answer means that nothing changed, and no event is due.
    """
    before: dict[str, Any] = {}
    for name, value in fields.items():
        new = None if value == "" else value
        if name == "metadata":
            new = metadata(value, thing["metadata"])
            changed = {
                key: thing["metadata"].get(key)
                for key in {*new, *thing["metadata"]}
                if new.get(key) != thing["metadata"].get(key)
            }
            if changed:
                before["metadata"] = changed
        elif thing.get(name) != new:
            before[name] = thing.get(name)
        thing[name] = new
    return before


def remains(thing: dict[str, Any]) -> dict[str, Any]:
    """Give what Stripe answers for a deleted object."""
    return {"id": thing["id"], "object": thing["object"], "deleted": True}
