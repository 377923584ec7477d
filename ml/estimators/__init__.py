"""The candidate models: scikit-learn style estimators over people by products.

Training uses them; serving reads the arrays they leave behind. Nothing is
imported here, so that one estimator loads what it needs and no more.
"""
