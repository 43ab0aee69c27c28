"""Does an edit towards a smile make a classifier see one? `python examples/smile_scores.py RUN`, after `pushforward fit smiles_glow`.

A logistic regression of pixels, which knows nothing of the flow, scores held-out faces without a smile, edited by alpha times
the direction of a smile. Needs PUSHFORWARD_DATA; half a minute on two CPU cores.
"""

import sys

import torch
from sklearn.linear_model import LogisticRegression

import pushforward as pf
from pushforward.lab.runs import open_run

ALPHAS, FACES, ENOUGH = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5), 200, 2000


def main(folder: str) -> None:
    """Print the accuracy of the classifier on real faces, then its mean score by alpha."""
    run = open_run(folder)
    train, _, test = run.parts()
    judge = LogisticRegression(max_iter=300, C=0.01)
    judge.fit(_rows(train.pixels[:6000]), train.labels[:6000].numpy())
    right, most = judge.score(_rows(test.pixels), test.labels.numpy()), float((test.labels == 0).float().mean())
    print(
        f"the classifier is right on {100 * right:.1f} % of held-out faces; 'no smile' always would be on {100 * most:.1f} %"
    )

    def faces(data: pf.data.Images, smiling: int, count: int) -> torch.Tensor:
        return data.take(torch.nonzero(data.labels == smiling).flatten()[:count]).x

    towards = pf.flows.direction(run.model, faces(train, 1, ENOUGH), faces(train, 0, ENOUGH))
    x = faces(test, 0, FACES)
    for alpha in ALPHAS:
        with torch.no_grad():
            edited = pf.flows.edit(run.model, x, towards, alpha).clamp(0, 255)
        scores = torch.from_numpy(judge.decision_function(_rows(edited)))
        error = float(scores.std()) / len(scores) ** 0.5
        print(f"alpha {alpha:4.1f}   log odds of a smile {float(scores.mean()):6.2f} +- {error:.2f}")


def _rows(pixels: torch.Tensor):
    return pixels.flatten(1).float().numpy() / 255


if __name__ == "__main__":
    main(sys.argv[1])
