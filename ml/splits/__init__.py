"""Splits: what a model may learn from, and the questions that it is judged by."""

from ml.splits.choose import choose_protocol
from ml.splits.cold import ColdProducts
from ml.splits.given import GivenQuestions
from ml.splits.last_out import LastOut
from ml.splits.random_share import RandomShare
from ml.splits.similar import SimilarProducts
from ml.splits.split import Protocol, Split, draw_people, met_matrix
from ml.splits.visits import NextInVisit
from ml.splits.window import TimeWindow

__all__ = [
    "ColdProducts",
    "GivenQuestions",
    "LastOut",
    "NextInVisit",
    "Protocol",
    "RandomShare",
    "SimilarProducts",
    "Split",
    "TimeWindow",
    "choose_protocol",
    "draw_people",
    "met_matrix",
]
