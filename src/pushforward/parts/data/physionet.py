"""The PhysioNet challenge of 2012: two days in intensive care, 41 channels at irregular times, most of them missing.

Silva, Moody, Scott, Celi and Mark, 2012, https://physionet.org/content/challenge-2012.
"""

from pathlib import Path

import numpy as np
import torch

from pushforward.core.errors import DataError

from .series import Series


def read_physionet2012(path: Path, part: str) -> Series:
    """The 4,000 stays of set "a", "b" or "c"; the label is death in hospital.

    Times are hours since admission, as exact as the file has them, to the minute. -1 means missing. Of two numbers of one
    channel in one minute the later in the file is kept. The record's number is left out; age, gender, height, kind of unit and
    weight on admission are channels seen at hour 0.
    """
    with np.load(path, allow_pickle=False) as archive:
        needed = ("minute", "var", "value", "offsets", "var_names", "outcomes", "outcome_names", "set")
        if missing := [name for name in needed if name not in archive.files]:
            raise DataError(f"expected the array {missing[0]} in {path.name}, found none; restore the original file")
        minute, variable, value, offsets = (archive[name] for name in needed[:4])
        names = [str(name) for name in archive["var_names"]]
        stays = np.flatnonzero(archive["set"] == part)
        died = archive["outcomes"][stays, archive["outcome_names"].tolist().index("In-hospital_death")]
    row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    own = np.isin(row, stays) & (variable != names.index("RecordID")) & (value != -1)
    row = np.searchsorted(stays, row[own])
    minute, variable, value = minute[own].astype(np.int64), variable[own], value[own]
    # The instants of each stay: its different minutes, in order.
    instants, at = np.unique(row * 10_000 + minute, return_inverse=True)
    of, when = instants // 10_000, instants % 10_000
    first = np.searchsorted(of, np.arange(len(stays) + 1))
    place = np.arange(len(instants)) - first[of]
    longest = int(np.diff(first).max())
    t = np.repeat((when[first[1:] - 1] / 60).astype(np.float32)[:, None], longest, 1)
    t[of, place] = when / 60
    x = np.zeros((len(stays), longest, len(names)), np.float32)
    observed = np.zeros(x.shape, bool)
    x[row, place[at.reshape(-1)], variable] = value
    observed[row, place[at.reshape(-1)], variable] = True
    kept = [j for j, name in enumerate(names) if name != "RecordID"]
    return Series(torch.from_numpy(t), torch.from_numpy(x[..., kept]), torch.from_numpy(observed[..., kept]), torch.from_numpy(died).long(),
                  tuple(names[j] for j in kept), ("survived", "died"), "hour", "hours")  # fmt: skip
