"""The words of the simulated shop: its categories, styles and colours. Data, no logic."""

from dataclasses import dataclass

LETTER_SIZES = ("XS", "S", "M", "L", "XL")
SHOE_SIZES = ("37", "38", "39", "40", "41", "42", "43")
KIDS_SIZES = ("92", "104", "116", "128", "140")
ROOM_SIZES = ("small", "medium", "large")
ONE_SIZE = ("one size",)


@dataclass(frozen=True)
class Category:
    """`price` is the median; `peak_day` the day of the year when the category sells best."""

    name: str
    department: str
    nouns: tuple[str, ...]
    materials: tuple[str, ...]
    sizes: tuple[str, ...]
    genders: tuple[str, ...]
    price: float
    spread: float
    share: float
    return_rate: float
    peak_day: int = 0
    season: float = 0.0


WOMEN, MEN, ALL, KIDS = ("women",), ("men",), ("women", "men", "unisex"), ("kids",)
C = Category

CATEGORIES = (
    C("Dresses", "Clothing", ("wrap dress", "shirt dress", "midi dress", "slip dress"),
      ("Linen", "Cotton", "Viscose", "Silk"), LETTER_SIZES, WOMEN, 69, 0.45, 1.5, 0.22, 170, 0.5),
    C("Skirts", "Clothing", ("pleated skirt", "wrap skirt", "pencil skirt"),
      ("Cotton", "Linen", "Denim", "Wool"), LETTER_SIZES, WOMEN, 45, 0.4, 0.8, 0.18, 160, 0.3),
    C("Blouses", "Clothing", ("blouse", "tie-neck blouse", "tunic"),
      ("Silk", "Cotton", "Viscose", "Linen"), LETTER_SIZES, WOMEN, 42, 0.4, 1.0, 0.16),
    C("Shirts", "Clothing", ("Oxford shirt", "overshirt", "collarless shirt"),
      ("Cotton", "Linen", "Flannel"), LETTER_SIZES, MEN, 48, 0.35, 1.0, 0.13),
    C("T-shirts", "Clothing", ("T-shirt", "long-sleeved top", "polo shirt"),
      ("Cotton", "Organic cotton", "Bamboo"), LETTER_SIZES, ALL, 22, 0.35, 1.3, 0.09, 190, 0.4),
    C("Knitwear", "Clothing", ("jumper", "cardigan", "roll-neck", "slipover"),
      ("Merino", "Cashmere", "Lambswool"), LETTER_SIZES, ALL, 75, 0.5, 1.2, 0.13, 340, 0.7),
    C("Trousers", "Clothing", ("chinos", "wide-leg trousers", "tapered trousers"),
      ("Cotton", "Linen", "Wool", "Corduroy"), LETTER_SIZES, ALL, 58, 0.35, 1.0, 0.2),
    C("Jeans", "Clothing", ("straight jeans", "slim jeans", "high-rise jeans"),
      ("Denim", "Stretch denim", "Organic denim"), LETTER_SIZES, ALL, 72, 0.35, 1.1, 0.22),
    C("Coats", "Clothing", ("trench coat", "parka", "wool coat", "quilted jacket"),
      ("Wool", "Cotton", "Recycled nylon"), LETTER_SIZES, ALL, 149, 0.45, 0.9, 0.17, 320, 0.8),
    C("Swimwear", "Clothing", ("swimsuit", "bikini top", "sarong"),
      ("Recycled nylon", "Ribbed jersey"), LETTER_SIZES, WOMEN, 36, 0.35, 0.6, 0.15, 180, 0.9),
    C("Sportswear", "Clothing", ("leggings", "running top", "training shorts"),
      ("Jersey", "Recycled nylon", "Mesh"), LETTER_SIZES, ALL, 38, 0.4, 0.9, 0.12, 20, 0.3),
    C("Nightwear", "Clothing", ("pyjamas", "night shirt", "dressing gown"),
      ("Cotton", "Flannel", "Silk"), LETTER_SIZES, ALL, 44, 0.4, 0.6, 0.08, 350, 0.5),
    C("Trainers", "Shoes", ("trainers", "running shoes", "high-tops"),
      ("Leather", "Canvas", "Mesh"), SHOE_SIZES, ALL, 84, 0.4, 1.2, 0.19),
    C("Boots", "Shoes", ("ankle boots", "Chelsea boots", "hiking boots"),
      ("Leather", "Suede", "Rubber"), SHOE_SIZES, ALL, 119, 0.4, 0.8, 0.19, 320, 0.7),
    C("Sandals", "Shoes", ("sandals", "espadrilles", "slides"),
      ("Leather", "Canvas", "Cork"), SHOE_SIZES, ALL, 54, 0.4, 0.7, 0.17, 175, 0.9),
    C("Bags", "Accessories", ("tote bag", "crossbody bag", "backpack", "weekend bag"),
      ("Leather", "Canvas", "Recycled nylon", "Straw"), ONE_SIZE, ALL, 79, 0.6, 1.1, 0.08),
    C("Scarves", "Accessories", ("scarf", "snood", "shawl"),
      ("Cashmere", "Wool", "Silk"), ONE_SIZE, ALL, 39, 0.5, 0.6, 0.05, 340, 0.8),
    C("Hats", "Accessories", ("beanie", "bucket hat", "sun hat"),
      ("Wool", "Cotton", "Straw"), ONE_SIZE, ALL, 27, 0.4, 0.5, 0.06),
    C("Jewellery", "Accessories", ("hoop earrings", "necklace", "bracelet", "ring"),
      ("Silver", "Gold-plated", "Brass", "Pearl"), ONE_SIZE, WOMEN, 34, 0.6, 1.0, 0.05, 350, 0.5),
    C("Bed linen", "Home", ("duvet cover", "pillowcase pair", "fitted sheet"),
      ("Linen", "Cotton", "Percale"), ROOM_SIZES, (), 64, 0.45, 0.8, 0.07),
    C("Cushions and throws", "Home", ("cushion", "throw", "blanket"),
      ("Wool", "Velvet", "Linen", "Cotton"), ROOM_SIZES, (), 34, 0.45, 0.9, 0.05, 330, 0.4),
    C("Candles", "Home", ("scented candle", "pillar candle", "candle holder"),
      ("Soy wax", "Beeswax", "Brass", "Glass"), ROOM_SIZES, (), 18, 0.45, 1.0, 0.02, 345, 0.6),
    C("Tableware", "Home", ("dinner plate", "mug", "serving bowl", "carafe"),
      ("Stoneware", "Porcelain", "Glass", "Acacia"), ROOM_SIZES, (), 19, 0.5, 1.1, 0.04),
    C("Lamps", "Home", ("table lamp", "floor lamp", "pendant lamp"),
      ("Brass", "Glass", "Rattan", "Paper"), ROOM_SIZES, (), 89, 0.5, 0.6, 0.08, 320, 0.3),
    C("Rugs", "Home", ("rug", "runner", "doormat"),
      ("Wool", "Jute", "Cotton"), ROOM_SIZES, (), 99, 0.6, 0.5, 0.1),
    C("Vases", "Home", ("vase", "plant pot", "bud vase"),
      ("Stoneware", "Glass", "Terracotta"), ROOM_SIZES, (), 24, 0.5, 0.7, 0.04),
    C("Children's clothes", "Children", ("dungarees", "hoodie", "leggings", "raincoat"),
      ("Cotton", "Organic cotton", "Denim"), KIDS_SIZES, KIDS, 28, 0.35, 1.0, 0.11),
    C("Toys", "Children", ("building blocks", "picture puzzle", "soft rabbit", "shape sorter"),
      ("Beech", "Cotton", "Recycled board"), ONE_SIZE, KIDS, 23, 0.45, 0.8, 0.04, 345, 0.8),
)  # fmt: skip

STYLES = (
    "classic", "relaxed", "striped", "floral", "minimal", "vintage-inspired", "embroidered",
    "patterned",
)  # fmt: skip

COLORS = (
    "black", "white", "navy", "grey", "beige", "sage", "olive", "rust", "mustard", "blush",
    "burgundy", "sky blue", "lilac", "terracotta",
)  # fmt: skip
