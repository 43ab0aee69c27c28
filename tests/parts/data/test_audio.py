"""Sound: files as they come, and one clear sentence for those that cannot be used."""

import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from pushforward.core.errors import UserError
from pushforward.parts.data import Audio, load, wav_bytes, write_wavs


def wav(path: Path, samples: np.ndarray, rate: int = 4000, channels: int = 1, width: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())


def sixteen(*values: int) -> np.ndarray:
    return np.array(values, dtype="<i2")


def test_clips_are_written_and_read_back_exactly(tmp_path):
    whole = torch.randint(-32768, 32768, (3, 50)).float() / 32768
    whole[1, 20:] = torch.nan
    write_wavs(tmp_path / "out", whole, 4000)
    back = load(tmp_path / "out")
    assert isinstance(back, Audio)
    assert (len(back), back.rate, back.lengths.tolist()) == (3, 4000, [50, 20, 50])
    assert torch.equal(back.take([0, 1, 2]).x.nan_to_num(9.0), whole.nan_to_num(9.0))


def test_folders_are_classes_and_names_can_be(tmp_path):
    for name in ("b/0_ann_0", "a/1_ann_1", "a/1_bob_2"):
        wav(tmp_path / f"{name}.wav", sixteen(1, 2, 3))
    by_folder = load(tmp_path)
    assert isinstance(by_folder, Audio)
    assert by_folder.class_names == ("a", "b")
    by_name = load(tmp_path, label="digit_speaker")
    assert isinstance(by_name, Audio)
    assert by_name.class_names == ("0_ann", "1_ann", "1_bob")
    bare = load(tmp_path, drop="labels")
    assert isinstance(bare, Audio)
    assert bare.labels is None


def test_channels_are_averaged_and_rates_brought_to_the_common_one(tmp_path):
    t = np.arange(8000) / 8000
    tone = (16000 * np.sin(2 * np.pi * 100 * t)).astype("<i2")
    wav(tmp_path / "a.wav", np.stack([tone, np.zeros_like(tone)], 1), 8000, channels=2)
    wav(tmp_path / "b.wav", tone[::2].copy(), 4000)
    wav(tmp_path / "c.wav", tone[::2].copy(), 4000)
    clips = load(tmp_path)
    assert isinstance(clips, Audio)
    assert clips.notes == (
        "1 of 3 clips had several channels, which were averaged",
        "1 of 3 clips were resampled to 4000 Hz",
    )
    middle = slice(500, 3500)  # the filter has nothing to go by at the ends
    assert (clips.clip(0)[middle] - clips.clip(1)[middle] / 2).abs().max() < 0.01
    slower = load(tmp_path, resize=2000)
    assert isinstance(slower, Audio)
    assert slower.rate == 2000
    assert slower.lengths.tolist() == [2000] * 3


def test_silence_and_a_single_sample_are_clips(tmp_path):
    wav(tmp_path / "a.wav", sixteen(0, 0, 0))
    wav(tmp_path / "b.wav", sixteen(-32768))
    wav(tmp_path / "c.wav", np.array([0, 128, 255], np.uint8), width=1)
    clips = load(tmp_path)
    assert isinstance(clips, Audio)
    assert clips.lengths.tolist() == [3, 1, 3]
    assert clips.clip(1).tolist() == [-1.0]
    assert clips.clip(2).tolist() == [-1.0, 0.0, 127 / 128]
    with pytest.raises(UserError, match="expected clips with sound, got 10 of silence"):
        Audio.of([[0.0] * 5] * 10, rate=8).require_fittable()


def test_what_cannot_be_read_is_one_sentence(tmp_path):
    wav(tmp_path / "empty" / "a.wav", sixteen())
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.wav").write_text("hello")
    wav(tmp_path / "both" / "a.wav", sixteen(1))
    wav(tmp_path / "both" / "x" / "a.wav", sixteen(1))
    wav(tmp_path / "loose" / "a.wav", sixteen(1))
    for folder, options, sentence in (
        ("empty", {}, "expected at least one sample in .*a.wav"),
        ("text", {}, "expected sound in .*a.wav.*cannot be read as .wav"),
        ("both", {}, "in its sub-folders, one a class, got both: a.wav and x/"),
        ("loose", {"label": "digit"}, "expected names such as 7_jackson_32.wav"),
        ("loose", {"label": "colour"}, "expected label digit, speaker"),
        ("loose", {"resize": (3, 4)}, "expected one rate"),
        ("loose", {"mode": "L"}, "expected no mode"),
        ("loose", {"part": "tset"}, "expected part to name a sub-folder"),
    ):
        with pytest.raises(UserError, match=sentence):
            load(tmp_path / folder, **options)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="an empty folder"):
        load(tmp_path / "none")


@pytest.mark.parametrize(
    ("clips", "sentence"),
    [
        ([], "at least one clip"),
        ([[0.5], []], "number 2, got shape"),
        ([[0.5, 1.5]], "amplitudes from -1 to 1"),
        ([[float("nan")]], "amplitudes from -1 to 1"),
        ([[40000, 1]], "expected 16-bit numbers"),
        ([[[0.1, 0.2]]], "average the channels"),
    ],
)
def test_clips_that_are_none_are_one_sentence(clips, sentence):
    with pytest.raises(UserError, match=sentence):
        Audio.of(clips, rate=8000)


def test_long_clips_are_cut_and_parts_keep_their_classes():
    clips = Audio.of([np.full(10, 0.1 * k) for k in range(1, 5)], rate=4, labels=["a", "b", "a", "b"])
    pieces = clips.cut(4)
    assert pieces.lengths.tolist() == [4, 4, 2] * 4
    assert pieces.labels is not None
    assert pieces.labels.tolist() == [0] * 3 + [1] * 3 + [0] * 3 + [1] * 3
    parts = pieces.split((0.5, 0.5), seed=1)
    assert [part.labels.bincount().tolist() for part in parts if part.labels is not None] == [[3, 3], [3, 3]]
    with pytest.raises(UserError, match="expected one clip"):
        wav_bytes(torch.tensor([2.0]), 4)
