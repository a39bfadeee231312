"""Random forests."""

from stages._params.base import Positive, Section, Seed


class Forest(Section):
    """Section ``forest``: :class:`sklearn.ensemble.RandomForestClassifier`."""

    n_estimators: Positive
    seed: Seed
