"""B8: digits, and the images that their features turn back into; accuracy of a bounded and of an ordinary network."""

import torch
from matplotlib.figure import Figure

import pushforward as pf
from pushforward.lab.plots import bare, canvas
from pushforward.lab.plots.style import MODEL, REAL


def draw() -> Figure:
    """Images, their features and the way back; then two learning curves."""
    train, test = pf.data.load("digits").split((0.8, 0.2), 0)
    curves, bounded = {}, None
    for coefficient in (0.9, None):
        model = pf.flows.invertible_resnet_classifier(train, blocks=1, width=16, coefficient=coefficient)
        curves[coefficient] = learn(model, train, test)
        bounded = bounded or model
    x = test.pixels[:6].float()
    with torch.no_grad():
        h = bounded.features(x)
        again = bounded.invert(h)
    figure = canvas(height=2.2)
    left, right = figure.subfigures(1, 2, width_ratios=[1.3, 1])
    for row, (name, images) in enumerate((("image", x[:, 0]), ("features", h.flatten(1).reshape(6, 12, 16)), ("inverted", again[:, 0]))):  # fmt: skip
        for column, image in enumerate(images):
            axes = left.add_subplot(3, 6, 6 * row + column + 1)
            bare(axes)
            axes.imshow(image.numpy(), cmap="gray")
            if column == 0:
                axes.set_ylabel(name)
    axes = right.subplots()
    for coefficient, color, name in ((0.9, MODEL, "invertible"), (None, REAL, "ordinary")):
        axes.plot(*zip(*curves[coefficient]), color=color, label=f"{name}: {curves[coefficient][-1][1]:.1%}")
    axes.set(xlabel="steps", ylabel="held-out accuracy", ylim=(0.5, 1))
    axes.legend(frameon=False, loc="lower right")
    return figure


def learn(model: torch.nn.Module, train: pf.data.Images, test: pf.data.Images) -> list[tuple[int, float]]:
    """A plain loop; accuracy now and then."""
    optimiser = torch.optim.AdamW(model.parameters(), 5e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 160)
    generator, curve = torch.Generator().manual_seed(0), []
    for step in range(1, 161):
        batch = train.take(torch.randint(len(train), (128,), generator=generator))
        loss = model.objective(model, batch, pf.RowGenerator(0, 128)).value
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 20 == 0:
            model.eval()
            curve.append((step, (model.predict(test.pixels) == test.labels).double().mean().item()))
            model.train()
    model.eval()
    return curve
