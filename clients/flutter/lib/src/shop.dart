import 'client.dart';

/// Lines of one event: so many fit into the 2,048 bytes that an event may have.
const _mostLines = 20;

/// One product of a list or an order.
class Line {
  const Line(this.productId, {this.quantity, this.price, this.position});

  final String productId;
  final int? quantity;

  /// The price of one unit.
  final num? price;

  /// The place in a list, from 1.
  final int? position;

  /// Writes the line as the contract names its fields; `value` is the money of all its units.
  Map<String, Object?> toJson({int? at}) {
    final unit = price;
    final place = position ?? at;
    return {
      'product_id': productId,
      if (quantity != null) 'quantity': quantity,
      if (unit != null) 'value': _round(unit * (quantity ?? 1)),
      if (place != null) 'position': place,
    };
  }

  /// Takes away the crumbs that binary fractions leave.
  static num _round(num money) => (money * 10000).round() / 10000;
}

/// What a shop tells of its products. Each gives the event's id, null when it was not queued.
extension ShopEvents on Millrace {
  String? productView(String productId, {Map<String, Object?>? properties}) =>
      _product('product_view', productId, properties);

  String? productClick(String productId, {int? position, Map<String, Object?>? properties}) =>
      _product('product_click', productId, {
        if (position != null) 'position': position,
        ...?properties,
      });

  String? favorite(String productId, {Map<String, Object?>? properties}) =>
      _product('favorite_add', productId, properties);

  String? unfavorite(String productId, {Map<String, Object?>? properties}) =>
      _product('favorite_remove', productId, properties);

  String? addToCart(String productId, {int quantity = 1, Map<String, Object?>? properties}) =>
      _product('add_to_cart', productId, properties, {'quantity': quantity});

  String? removeFromCart(String productId, {int quantity = 1, Map<String, Object?>? properties}) =>
      _product('remove_from_cart', productId, properties, {'quantity': quantity});

  String? rate(String productId, num stars, {Map<String, Object?>? properties}) =>
      _product('rate', productId, properties, {'value': stars});

  /// Tells which products were shown, in events of up to 20 products, so that each one fits.
  List<String> listView(List<Line> products, {String? listId}) {
    final ids = <String>[];
    for (var first = 0; first < products.length; first += _mostLines) {
      final part = products.skip(first).take(_mostLines);
      final id = track(
        'product_list_view',
        properties: listId == null ? null : {'list_id': listId},
        fields: {
          'items': [
            for (final (index, line) in part.indexed) line.toJson(at: first + index + 1),
          ],
        },
      );
      if (id != null) {
        ids.add(id);
      }
    }
    return ids;
  }

  /// Tells that an order was placed. It is named by the order: told again, it is counted once.
  ///
  /// [orderedAt] is the order's own time, the same each time; without it the event gets the time
  /// at which it arrives. Of a long order the further lines go in events of the type
  /// `purchase_lines`, which are no orders. Gives the ids of all.
  List<String> purchase(
    String orderId,
    List<Line> lines, {
    DateTime? orderedAt,
    num? value,
    String? currency,
  }) {
    final ids = <String>[];
    for (var first = 0; first == 0 || first < lines.length; first += _mostLines) {
      final isOrder = first == 0;
      final part = first ~/ _mostLines + 1;
      final id = track(
        isOrder ? 'purchase' : 'purchase_lines',
        properties: {'order_id': orderId, if (currency != null) 'currency': currency},
        fields: {
          'message_id': isOrder ? 'purchase:$orderId' : 'purchase:$orderId:$part',
          'entity_type': 'order',
          'entity_id': orderId,
          if (orderedAt != null) 'occurred_at': orderedAt.toUtc().toIso8601String(),
          if (isOrder && value != null) 'value': value,
          'items': [for (final line in lines.skip(first).take(_mostLines)) line.toJson()],
        },
      );
      if (id != null) {
        ids.add(id);
      }
    }
    return ids;
  }

  String? recommendationShown(List<Line> products, {String? placement}) => track(
        'rec_shown',
        properties: placement == null ? null : {'placement': placement},
        fields: {
          'items': [
            for (final (index, line) in products.indexed) line.toJson(at: index + 1),
          ],
        },
      );

  String? recommendationClick(String productId, {String? placement, int? position}) =>
      _product('rec_clicked', productId, {
        if (placement != null) 'placement': placement,
        if (position != null) 'position': position,
      });

  String? _product(
    String eventType,
    String productId,
    Map<String, Object?>? properties, [
    Map<String, Object?> fields = const {},
  ]) =>
      track(eventType, properties: properties, fields: {...fields, 'product_id': productId});
}
