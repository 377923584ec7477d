"""What a shop's backend tells: one method for each thing that happens to its products."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millrace_client.encode import encode
from millrace_client.fields import (
    ActorFields,
    CommonFields,
    EventFields,
    Id,
    Money,
    Product,
    line_value,
    lines_of,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

Properties = Mapping[str, Any]

#: Products the server takes in one event.
_MAX_ITEMS = 200


class ShopEvents:
    """The shop's methods of a client. Each gives the event's id, None when it was not queued.

    What they do not name goes into `properties`; the fields are those of `track`.
    """

    #: Bytes of JSON one event may have that holds products; see Options.
    list_event_bytes: int

    def track(
        self, event_type: str, properties: Properties | None = None, **fields: Unpack[EventFields]
    ) -> str | None:
        """Queue an event."""
        raise NotImplementedError

    def identify(
        self,
        user_id: Id,
        traits: Properties | None = None,
        *,
        anonymous_id: Id | None = None,
        **fields: Unpack[CommonFields],
    ) -> str | None:
        """Tell that an anonymous id is a user from now on, and what is known of the user."""
        return self.track(
            "identify",
            traits,
            user_id=user_id,
            anonymous_id=anonymous_id,
            **fields,
        )

    def page(
        self,
        name: str | None = None,
        properties: Properties | None = None,
        **fields: Unpack[ActorFields],
    ) -> str | None:
        """Tell that a page was seen."""
        return self.track("page_view", _with(properties, name=name), **fields)

    def track_product_view(
        self, product_id: Id, properties: Properties | None = None, **fields: Unpack[ActorFields]
    ) -> str | None:
        """Tell that a product's page was seen."""
        return self.track("product_view", properties, product_id=product_id, **fields)

    def track_product_click(
        self,
        product_id: Id,
        properties: Properties | None = None,
        *,
        position: int | None = None,
        **fields: Unpack[ActorFields],
    ) -> str | None:
        """Tell that a product was clicked in a list, and at which place of it."""
        properties = _with(properties, position=position)
        return self.track("product_click", properties, product_id=product_id, **fields)

    def track_product_favorite(
        self, product_id: Id, properties: Properties | None = None, **fields: Unpack[ActorFields]
    ) -> str | None:
        """Tell that a product was put on a wish list."""
        return self.track("favorite_add", properties, product_id=product_id, **fields)

    def track_product_unfavorite(
        self, product_id: Id, properties: Properties | None = None, **fields: Unpack[ActorFields]
    ) -> str | None:
        """Tell that a product was taken off a wish list."""
        return self.track("favorite_remove", properties, product_id=product_id, **fields)

    def track_cart_addition(
        self,
        product_id: Id,
        quantity: int = 1,
        properties: Properties | None = None,
        *,
        price: Money | None = None,
        **fields: Unpack[ActorFields],
    ) -> str | None:
        """Tell that units of a product were put into the cart; `price` is that of one."""
        return self._track_cart("add_to_cart", product_id, quantity, price, properties, fields)

    def track_cart_removal(
        self,
        product_id: Id,
        quantity: int = 1,
        properties: Properties | None = None,
        *,
        price: Money | None = None,
        **fields: Unpack[ActorFields],
    ) -> str | None:
        """Tell that units of a product were taken out of the cart."""
        return self._track_cart("remove_from_cart", product_id, quantity, price, properties, fields)

    def track_listing_views(
        self,
        products: Iterable[Product],
        properties: Properties | None = None,
        *,
        list_id: str | None = None,
        first_position: int = 1,
        **fields: Unpack[ActorFields],
    ) -> list[str]:
        """Tell that products were shown in a list; their places are those of the sequence.

        A list that is too large for one event is told in several. Gives the ids of those that
        were queued.
        """
        event_type = "product_list_view"
        properties = _with(properties, list_id=list_id)
        room = self._room_for_items(event_type, properties, fields)
        try:
            parts = list(_split(lines_of(products, first_position=first_position), max_bytes=room))
        except Exception as error:
            self._refuse(event_type, error)
            return []
        ids = [self.track(event_type, properties, items=part, **fields) for part in parts]
        return [each for each in ids if each is not None]

    def track_purchase(
        self,
        order_id: Id,
        items: Iterable[Product],
        properties: Properties | None = None,
        *,
        value: Money | None = None,
        currency: str | None = None,
        **fields: Unpack[ActorFields],
    ) -> str | None:
        """Tell that an order was placed. However often it is told, it is counted once.

        The order's id names the event. `occurred_at` must then be the order's own time, the same
        each time; left out, the event gets the time at which it arrives. `value` is what was paid
        in all; the products' revenue is that of their lines. Of a long order the further lines go
        in events of the type `purchase_lines`, which are no orders.
        """
        if not fields.get("event_id"):
            fields.setdefault("message_id", f"purchase:{order_id}")
        return self._track_order("purchase", order_id, items, currency, properties, value, fields)

    def track_refund(
        self,
        order_id: Id,
        items: Iterable[Product],
        properties: Properties | None = None,
        *,
        refund_id: Id | None = None,
        value: Money | None = None,
        currency: str | None = None,
        **fields: Unpack[ActorFields],
    ) -> str | None:
        """Tell that units of an order were given back. With a `refund_id` it is counted once."""
        if refund_id is not None and not fields.get("event_id"):
            fields.setdefault("message_id", f"refund:{order_id}:{refund_id}")
        properties = _with(properties, refund_id=refund_id)
        return self._track_order("refund", order_id, items, currency, properties, value, fields)

    def track_rating(
        self,
        product_id: Id,
        rating: Money,
        properties: Properties | None = None,
        **fields: Unpack[ActorFields],
    ) -> str | None:
        """Tell that a product was given so many stars."""
        return self.track("rate", properties, product_id=product_id, value=rating, **fields)

    def track_search(
        self,
        query: str,
        properties: Properties | None = None,
        *,
        results: int | None = None,
        **fields: Unpack[ActorFields],
    ) -> str | None:
        """Tell what was searched for, and how much was found."""
        return self.track("search", _with(properties, query=query, results=results), **fields)

    def track_recommendation_shown(
        self,
        products: Iterable[Product],
        properties: Properties | None = None,
        *,
        placement: str | None = None,
        **fields: Unpack[ActorFields],
    ) -> str | None:
        """Tell which recommended products were shown, in their order, and where."""
        lines = lines_of(products, first_position=1)
        return self.track(
            "rec_shown", _with(properties, placement=placement), items=lines, **fields
        )

    def track_recommendation_clicked(
        self,
        product_id: Id,
        properties: Properties | None = None,
        *,
        placement: str | None = None,
        position: int | None = None,
        **fields: Unpack[ActorFields],
    ) -> str | None:
        """Tell that a recommended product was clicked."""
        properties = _with(properties, placement=placement, position=position)
        return self.track("rec_clicked", properties, product_id=product_id, **fields)

    def _track_cart(
        self,
        event_type: str,
        product_id: Id,
        quantity: int,
        price: Money | None,
        properties: Properties | None,
        fields: ActorFields,
    ) -> str | None:
        return self.track(
            event_type,
            _with(properties, price=price),
            product_id=product_id,
            quantity=quantity,
            value=None if price is None else line_value(price, quantity),
            **fields,
        )

    def _track_order(
        self,
        event_type: str,
        order_id: Id,
        items: Iterable[Product],
        currency: str | None,
        properties: Properties | None,
        value: Money | None,
        fields: ActorFields,
    ) -> str | None:
        fields.setdefault("entity_type", "order")
        fields.setdefault("entity_id", order_id)
        properties = _with(properties, order_id=order_id, currency=currency)
        try:
            # Told again, the order must fall into the same parts, whatever else its events hold.
            parts = list(_split(lines_of(items), max_bytes=self.list_event_bytes // 2))
        except Exception as error:
            self._refuse(event_type, error)
            return None
        first, *others = parts or [[]]
        told = self.track(event_type, properties, items=first, value=value, **fields)
        name = fields.get("event_id") or fields.get("message_id")
        for number, part in enumerate(others, start=2):
            own: ActorFields = {
                **fields,
                "event_id": None,
                "message_id": f"{name}:{number}" if name else None,
            }
            self.track(f"{event_type}_lines", properties, items=part, **own)
        return told

    def _room_for_items(
        self, event_type: str, properties: Properties | None, fields: ActorFields
    ) -> int:
        """Give the bytes of JSON that are left for the items of an event."""
        raise NotImplementedError

    def _refuse(self, event_type: str, error: Exception) -> None:
        """Report an event that cannot be made."""
        raise NotImplementedError


def _with(properties: Properties | None, **more: Any) -> Properties | None:
    found = {name: value for name, value in more.items() if value is not None}
    return {**found, **(properties or {})} or None


def _split(lines: Iterable[dict[str, Any]], *, max_bytes: int) -> Iterator[list[dict[str, Any]]]:
    """Part a list so that each part fits, with one line at least."""
    part: list[dict[str, Any]] = []
    size = 0
    for line in lines:
        line_bytes = len(encode(line)) + 1
        if part and (size + line_bytes > max_bytes or len(part) == _MAX_ITEMS):
            yield part
            part, size = [], 0
        part.append(line)
        size += line_bytes
    if part:
        yield part
