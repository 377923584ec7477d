"""Shop data: the simulated shop, and directories of files that a mapping describes."""

from datasets.dataset import Dataset, DatasetError, MappingError
from datasets.reading import read_dataset
from datasets.simulated import simulate_shop

__all__ = ["Dataset", "DatasetError", "MappingError", "read_dataset", "simulate_shop"]
