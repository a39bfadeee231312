"""The detector of one digit, and the thresholds on its scores."""

from typing import Annotated

from pydantic import Field

from stages._params.base import Digit, Score, Section, Several


class Decision(Section):
    """Section ``binary.thresholds.decision``: the decision threshold of each model."""

    never: Score
    sgd: Score
    sgd_shuffled: Score
    forest: Score


class Thresholds(Section):
    """Section ``binary.thresholds``."""

    decision: Decision
    first_digit: Several[Score]
    precision: Annotated[float, Field(gt=0, le=1)]


class Binary(Section):
    """Section ``binary``."""

    target: Digit
    thresholds: Thresholds
