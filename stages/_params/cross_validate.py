"""The folds of the out-of-fold scores."""

from stages._params.base import Folds, Section, Seed


class CrossValidate(Section):
    """Section ``cross_validate``."""

    folds: Folds
    shuffle_seed: Seed
