import pytest
import torch

from pushforward import UserError, metrics
from pushforward.parts.data import load


@pytest.fixture(scope="module")
def digits():
    return load("digits").split((0.8, 0.2), 0)


@pytest.fixture(scope="module")
def judge(digits):
    return metrics.train_judge(digits[0].pixels, digits[0].labels, levels=digits[0].levels, seed=0)


def test_the_judge_recognises_held_out_digits(judge, digits):
    assert metrics.classifier_accuracy(judge, digits[1].pixels, digits[1].labels).value >= 0.98


def test_it_takes_float_pixels_and_is_not_fooled_by_noise_or_wrong_labels(judge, digits):
    test = digits[1]
    assert torch.equal(judge.classify(test.pixels), judge.classify(test.pixels.float()))
    wrong = metrics.classifier_accuracy(judge, test.pixels, (test.labels + 1) % 10)
    noise = metrics.classifier_accuracy(judge, torch.randint(0, 17, test.pixels.shape).float(), test.labels)
    assert wrong.value < 0.05
    assert noise.value < 0.3


def test_the_same_seed_gives_the_same_judge_and_leaves_the_global_generator_alone():
    pixels, labels = torch.randint(0, 17, (40, 1, 8, 8), dtype=torch.uint8), torch.arange(40) % 3
    state = torch.get_rng_state()
    judges = [metrics.train_judge(pixels, labels, levels=17, epochs=2, seed=s) for s in (0, 0, 1)]
    assert torch.equal(state, torch.get_rng_state())
    first, again, other = (j.logits(pixels) for j in judges)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_labels_count_from_zero():
    with pytest.raises(UserError, match="a label 0, 1"):
        metrics.train_judge(torch.zeros(3, 1, 8, 8), torch.arange(3) - 1)
