"""The contract of one event, in marshmallow: which fields it may have and what they may hold.

This is the definition. `intake.compiled` builds the fast reader from it; what that one refuses
comes here, and the messages that a client gets are made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import EXCLUDE, INCLUDE, Schema, ValidationError, fields, pre_load, validate

from intake.payload import check_payload

MAX_ITEMS = 200
#: Of more bad items an event's verdict does not tell: to judge each of them takes its time.
MAX_BAD_ITEMS = 5
MAX_ID = 200
MAX_NAME = 100
MAX_AMOUNT = 1e15
MAX_INT = 2_147_483_647

#: Other names for a field of the contract. The first of several that is given wins.
FIELD_SYNONYMS = {
    "event": "event_type",
    "messageId": "message_id",
    "id": "message_id",
    "userId": "user_id",
    "anonymousId": "anonymous_id",
    "timestamp": "occurred_at",
    "created_at": "occurred_at",
    "payload": "properties",
    "metadata": "properties",
    "context_snapshot": "context",
}


class Identifier(fields.Field[str | None]):
    """A text of up to MAX_ID characters; numbers become text, the empty text means none."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str | None:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise ValidationError("Must be a text or a whole number.")
        if len(value) > MAX_ID:
            raise ValidationError(f"Must be at most {MAX_ID} characters, got {len(value)}.")
        check_payload(value)
        return value or None


class Name(fields.Field[str | None]):
    """A text of up to MAX_NAME characters; the empty text means none."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str | None:
        if not isinstance(value, str):
            raise ValidationError("Must be a text.")
        if len(value) > MAX_NAME:
            raise ValidationError(f"Must be at most {MAX_NAME} characters, got {len(value)}.")
        check_payload(value)
        return value or None


class Payload(fields.Field[dict[str, Any]]):
    """A JSON object of the client's own, within the bounds of `intake.payload`."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, **kwargs: Any
    ) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("Must be a JSON object.")
        check_payload(value)
        return value


class Moment(fields.Field[str | int | float]):
    """An ISO 8601 text or a Unix time in seconds or milliseconds; `intake.moment` reads it."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, **kwargs: Any
    ) -> str | int | float:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValidationError("Must be an ISO 8601 text or a Unix time.")
        return value


class ItemSchema(Schema):
    """One product of an event: a line of an order or a place in a list."""

    class Meta:
        unknown = INCLUDE

    product_id = Identifier(required=True)
    quantity = fields.Integer(
        strict=True,
        allow_none=True,
        validate=validate.Range(0, MAX_INT),
        metadata={"description": "units, 1 when left out"},
    )
    value = fields.Float(
        allow_nan=False,
        allow_none=True,
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
        metadata={"description": "money of the line: units times unit price"},
    )
    position = fields.Integer(
        strict=True,
        allow_none=True,
        validate=validate.Range(0, MAX_INT),
        metadata={"description": "place in a list, from 1"},
    )

    @pre_load
    def _bound(self, data: Any, **kwargs: Any) -> Any:
        check_payload(data)
        return data


@dataclass(frozen=True, slots=True)
class JudgedItem:
    """An item that the fast reader has accepted: the contract would take ten times as long."""

    value: dict[str, Any]


class Items(fields.List[Any]):
    """A list of up to MAX_ITEMS items. A longer one is not looked at: that takes its time."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, list) and len(value) > MAX_ITEMS:
            raise ValidationError(f"Must have at most {MAX_ITEMS} items, got {len(value)}.")
        if not isinstance(value, list):
            return super()._deserialize(value, attr, data, **kwargs)
        items: list[Any] = []
        errors: dict[int | str, Any] = {}
        for place, item in enumerate(value):
            if len(errors) == MAX_BAD_ITEMS:
                errors["_schema"] = [f"Items from {place} on were not looked at."]
                break
            if isinstance(item, JudgedItem):
                items.append(item.value)
                continue
            try:
                items.append(self.inner.deserialize(item, **kwargs))
            except ValidationError as error:
                errors[place] = error.messages
        if errors:
            raise ValidationError(errors)
        return items


class EventSchema(Schema):
    """One event. Fields that the contract does not name are kept among its properties."""

    class Meta:
        unknown = EXCLUDE

    event_type = Name(
        required=True, metadata={"description": "what happened, such as product_view"}
    )
    event_id = Identifier(
        allow_none=True,
        metadata={"description": "UUID of the event; a UUIDv7 is kept. Repeats are counted once"},
    )
    message_id = Identifier(
        allow_none=True, metadata={"description": "any other text that names the event"}
    )
    event_category = Name(allow_none=True)
    event_action = Name(allow_none=True)
    user_id = Identifier(allow_none=True)
    anonymous_id = Identifier(allow_none=True)
    session_id = Identifier(allow_none=True)
    source = Name(allow_none=True, metadata={"description": "web, android, ios, kiosk, …"})
    device_type = Name(allow_none=True, metadata={"description": "desktop, mobile, tablet"})
    product_id = Identifier(allow_none=True)
    entity_type = Name(allow_none=True)
    entity_id = Identifier(allow_none=True)
    items = Items(
        fields.Nested(ItemSchema), allow_none=True, validate=validate.Length(max=MAX_ITEMS)
    )
    quantity = fields.Integer(strict=True, allow_none=True, validate=validate.Range(0, MAX_INT))
    value = fields.Float(
        allow_nan=False,
        allow_none=True,
        validate=validate.Range(-MAX_AMOUNT, MAX_AMOUNT),
        metadata={"description": "money of a purchase or refund, stars of a rating"},
    )
    properties = Payload(allow_none=True)
    context = Payload(allow_none=True)
    duration_ms = fields.Integer(strict=True, allow_none=True, validate=validate.Range(0, MAX_INT))
    occurred_at = Moment(allow_none=True, metadata={"description": "when it happened"})
    excluded = Name(
        allow_none=True,
        metadata={"description": "why reports leave the event out, such as test or staff"},
    )

    @pre_load
    def _gather(self, data: Any, **kwargs: Any) -> Any:
        """Rename synonyms and move what the contract does not name into the properties."""
        if not isinstance(data, dict):
            return data
        known: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for name, value in data.items():
            if name in self.fields:
                known[name] = value
        for name, value in data.items():
            target = FIELD_SYNONYMS.get(name)
            if name in known:
                continue
            if target is not None and known.get(target) is None:
                known[target] = value
            elif target is None or value != known[target]:
                extra[name] = value
        properties = known.get("properties")
        if extra and (properties is None or isinstance(properties, dict)):
            known["properties"] = {**extra, **(properties or {})}
        return known


SCHEMA = EventSchema()


def load_event(data: Any) -> dict[str, Any]:
    """Check one decoded event; give its fields. Raises marshmallow's ValidationError."""
    loaded: dict[str, Any] = SCHEMA.load(data)
    if not loaded.get("event_type"):
        raise ValidationError({"event_type": ["Missing data for required field."]})
    if not loaded.get("items"):
        loaded.pop("items", None)
    return {name: value for name, value in loaded.items() if value is not None}


def messages_of(error: ValidationError) -> dict[str, Any]:
    """Give a validation error's messages by field; those of no field stand under `_schema`."""
    messages: dict[str, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]
    return messages
