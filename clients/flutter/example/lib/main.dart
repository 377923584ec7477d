import 'package:flutter/material.dart';
import 'package:millrace/millrace.dart';
import 'package:path_provider/path_provider.dart';

Future<void> main() async {
  WidgetsFlutterBinding.ensureInitialized();
  final directory = await getApplicationSupportDirectory();
  final millrace = await Millrace.start(
    const MillraceOptions(
      host: 'https://events.example.com',
      writeKey: 'wk_…',
      consent: Consent.pending,
    ),
    store: FileStore('${directory.path}/millrace'),
  );
  MillraceLifecycle(millrace);
  runApp(ShopApp(millrace));
}

class ShopApp extends StatelessWidget {
  const ShopApp(this.millrace, {super.key});

  final Millrace millrace;

  @override
  Widget build(BuildContext context) => MaterialApp(
        home: Scaffold(
          body: ListView(
            children: [
              ListTile(
                title: const Text('Yes, you may count what I do'),
                onTap: () => millrace.setConsent(Consent.granted),
              ),
              ListTile(
                title: const Text('Wool hat'),
                onTap: () => millrace.productClick('sku-2', position: 1),
              ),
              ListTile(
                title: const Text('Into the cart'),
                onTap: () => millrace.addToCart('sku-2'),
              ),
              ListTile(
                title: const Text('Buy'),
                onTap: () => millrace.purchase(
                  'order-1001',
                  [const Line('sku-2', quantity: 1, price: 39.9)],
                  currency: 'EUR',
                ),
              ),
            ],
          ),
        ),
      );
}
