"""Experiments: the data sets they run on."""

from lagrangenet.experiments.data import DATASETS, Dataset, load_dataset
from lagrangenet.experiments.table import read_csv

__all__ = ["DATASETS", "Dataset", "load_dataset", "read_csv"]
