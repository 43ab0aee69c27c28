"""Long records: a few series (often one) that are cut into overlapping windows, and tested on what comes last."""

from pushforward.core.errors import DataError
from pushforward.parts.data import Series

FEWEST_ROWS = 10  # below, rows cannot be divided into train, held-out and test
FEWEST_INSTANTS = 16
SHARE, SHORTEST, LONGEST = 0.5, 6, 96  # of a record, and instants, that a window has
MOST_WINDOWS = 2000
TRAINED = 0.8  # of a record; the rest is the test


def is_record(data: Series) -> bool:
    """Whether there are too few series to divide, so that time is divided instead; series with labels or targets are never cut."""
    return len(data) < FEWEST_ROWS and data.labels is None and data.targets is None


def window_length(data: Series) -> int:
    """How many instants the windows of these records have; raises `DataError` for a record that is too short."""
    shortest = int(data.lengths.min())
    if shortest < FEWEST_INSTANTS:
        row = int(data.lengths.argmin())
        raise DataError(f"expected {FEWEST_ROWS} series or more, or records of at least {FEWEST_INSTANTS} instants, got {len(data)} "
                        f"series, of which number {row + 1} has {shortest}; give more series, or a longer record")  # fmt: skip
    return max(SHORTEST, min(LONGEST, int(SHARE * shortest)))


def horizon_of(window: int) -> int:
    """How many instants of a window are forecast in a test: its last third."""
    return window // 3


def split_record(data: Series) -> tuple[Series, Series, Series]:
    """Windows of the first 80 % of each record to train on, but for the latest tenth of them, which are held out; and windows
    whose last third, the part to forecast, lies in the last 20 %.

    Held-out windows overlap those that are trained on, and so do the contexts of the test; what the test forecasts was
    never seen.
    """
    length = window_length(data)
    horizon = horizon_of(length)
    real = data.lengths.tolist()
    ends = [round(TRAINED * own) for own in real]
    stride = max(1, sum(ends) // MOST_WINDOWS)
    train: list[tuple[int, int]] = []
    held: list[tuple[int, int]] = []
    test: list[tuple[int, int]] = []
    for i, (own, end) in enumerate(zip(real, ends)):
        begins = [(i, first) for first in range((end - length) % stride, end - length + 1, stride)]
        last = max(1, len(begins) // 10)
        train += begins[:-last]
        held += begins[-last:]
        test += [(i, first) for first in range(own - length, end + horizon - length - 1, -horizon)][::-1]
    return _cut(data, train, length), _cut(data, held, length), _cut(data, test, length)


def _cut(data: Series, windows: list[tuple[int, int]], length: int) -> Series:
    return data.cut([row for row, _ in windows], [first for _, first in windows], length)
