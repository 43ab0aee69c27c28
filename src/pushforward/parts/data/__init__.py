"""Data: load by name or path, as a `Table`, `Images` or `Series`; draw toys; write what was sampled."""

from .array_file import save_array
from .collections import NamedData, names
from .covariances import covariance_matrix
from .csv_file import write_csv
from .function_sets import FunctionBatch, FunctionSet, gp_draws, sines
from .images import Images, write_images
from .load import load
from .partly_labelled import PartlyLabelled, hide_labels
from .series import Series, SeriesBatch, SeriesUnits
from .split import split_rows
from .table import Column, Table
from .toys import TOYS, toy, toy_log_prob
