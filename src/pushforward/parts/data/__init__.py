"""Data: load by name or path, as a `Table`, `Images`, `Series` or `Audio`; draw toys; write what was sampled."""

from .array_file import save_array
from .audio import Audio
from .collections import NamedData, names
from .covariances import covariance_matrix
from .csv_file import write_csv
from .function_families import oscillators, rotating_digits, sawtooth
from .function_sets import GP_SETS, FunctionBatch, FunctionSet, gp_draws, sines
from .images import Images, write_images
from .load import load
from .partly_labelled import PartlyLabelled, hide_labels
from .populations import lotka_volterra, predator_prey
from .series import Series, SeriesBatch, SeriesUnits
from .split import split_rows
from .table import Column, Table
from .toys import TOYS, toy, toy_log_prob
from .wav_file import wav_bytes, write_wavs
