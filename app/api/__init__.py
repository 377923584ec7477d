"""The reading surface: reports, products, recommendations, health."""
