# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which digit is this?
#
# The story of chapter 3 of *Hands-On Machine Learning* (2nd edition), told in our own words. The
# numbers behind a heading are those of the cells of its notebook.
#
# What takes long there, `dvc repro` has done: the models are trained, and the nearest neighbours are
# found. It is read here, and everything else is computed before your eyes. All of it takes seconds, so
# change what you like, above all where a cell begins with **Try it**, and run it again.
#
# Its kernel is the Python of `.venv`. After an edit of `params.yaml` and `dvc repro`, restart it.

# %%
import os
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"  # no progress bars: nothing here takes so long

from dvc.repo import Repo


class NoDataError(Exception):
    """Shown by its message alone."""

    def _render_traceback_(self):
        return [str(self)]


os.chdir(Repo.find_root())  # the project's folder, from any folder in it
with Repo() as repo:
    if not all(out.exists for out in repo.index.outs):
        raise NoDataError("The data are not all there: run `dvc repro` (or `dvc pull`) first.")

# %%
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    confusion_matrix,
    f1_score,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)
from sklearn.model_selection import StratifiedKFold

from stages.common.arrays import load, load_group
from stages.common.folds import fold_numbers
from stages.common.params import read
from stages.data.augment import shifted
from stages.evaluate.accuracy import fold_accuracies
from stages.evaluate.analyse_errors import panel
from stages.neighbors.denoise import add_noise, denoise, denoise_metrics
from stages.neighbors.evaluate_multilabel import (
    multilabel_metrics,
    multilabels,
    out_of_fold_predictions,
)
from stages.neighbors.knn import outside_folds, vote
from stages.neighbors.search_grid import search_grid
from stages.output.pictures import draw_panels, sheet

# %matplotlib inline
np.set_printoptions(legacy="1.25")  # 0.5 and not np.float64(0.5)

params = read(Path("params.yaml"), "")
data, models, neighbors = Path("data"), Path("data/models"), Path("data/neighbors")
metrics = {
    str(path.relative_to("data/metrics")): json.loads(path.read_text(encoding="utf-8"))
    for path in Path("data/metrics").rglob("*.json")
}

# %% [markdown]
# ## The images (In 4–11)
#
# Small grey pictures of single handwritten digits, each with a label that says which one it is. The first
# of them train the models. The others are kept aside, to ask at the very end what the models are worth
# on images that they have never seen.

# %%
X_train, y_train = load(data / "train/images.npy"), load(data / "train/labels.npy")
X_test, y_test = load(data / "test/images.npy"), load(data / "test/labels.npy")
classes = np.unique(y_train)
X_train.shape, X_test.shape, classes

# %%
digit = X_train[0]
draw_panels([digit], [f"The first image: a {y_train[0]}"], n_columns=1, size=2)

# %%
draw_panels([sheet(X_train[:100], 10)], ["The first hundred"], n_columns=1, size=5)

# %% [markdown]
# ## Is it the target, or not? (In 10–16)
#
# The smallest question first: a detector of one class, the *target* (`binary.target` in `params.yaml`).
# It is a linear model, trained by stochastic gradient descent (SGD). It gives each image a score, and
# answers "target" if the score is above a threshold, 0.
#
# A model must not be judged by images that it was trained on. So the training images were cut into
# folds, and each fold was scored by a model that had seen the others only. From these *out-of-fold
# scores* everything below is computed, in no time.

# %%
target, thresholds = params["binary"]["target"], params["binary"]["thresholds"]
is_target = np.asarray(load(data / "is_target/train.npy"))
sgd = load_group(models / "binary/sgd/out_of_fold.npz")
predicted = sgd["scores"] > thresholds["decision"]["sgd"]
sgd_accuracy = fold_accuracies(predicted == is_target, sgd["folds"])
sgd_accuracy

# %% [markdown]
# With folds of shuffled images the same model does better or worse. So much of the figure is chance.

# %%
shuffled = load_group(models / "binary/sgd_shuffled/out_of_fold.npz")
said_shuffled = shuffled["scores"] > thresholds["decision"]["sgd_shuffled"]
fold_accuracies(said_shuffled == is_target, shuffled["folds"])

# %% [markdown]
# Is that a lot? Ask a model that looks at nothing, and always answers "not the target".

# %%
dummy = load_group(models / "binary/dummy/out_of_fold.npz")
said_by_dummy = dummy["scores"] > thresholds["decision"]["dummy"]
fold_accuracies(said_by_dummy == is_target, dummy["folds"])

# %% [markdown]
# Of ten digits, one in ten is the target, and so it is nearly as good. Where classes are of unequal
# size, accuracy says little.
#
# ## What kinds of error? (In 16–20)
#
# The confusion matrix tells them apart. A row is what the images are (others, targets), a column what
# the detector took them for. A perfect one has zeros off its diagonal.

# %%
confusion_matrix(is_target, predicted), confusion_matrix(is_target, is_target)

# %% [markdown]
# *Precision*: of the images that it took for targets, the share that are. *Recall*: of the targets,
# the share that it found. F1 is their harmonic mean, which is high only if both are.


# %%
def worth(predicted):
    """Precision, recall and F1 of answers (n,); no number where it would be 0 of 0."""
    scores = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    return {
        name: score(is_target, predicted, zero_division=np.nan) for name, score in scores.items()
    }


sgd_worth = worth(predicted)
sgd_worth

# %% [markdown]
# ## The threshold is yours (In 21–29)
#
# The score of the first image, by the model that was trained on all images, and the answers that
# follow from it at the thresholds of `params.yaml`:

# %%
first_score = load_group(models / "binary/sgd/predictions.npz")["first_scores"][0]
first_score, {threshold: first_score > threshold for threshold in thresholds["first_digit"]}

# %% [markdown]
# A higher threshold finds fewer targets, and is more often right about them. Every score is a possible
# threshold, so here are all of them at once.

# %%
precision, recall, at = precision_recall_curve(is_target, sgd["scores"])
# The lowest threshold with the precision asked for, if any has it.
reached = np.flatnonzero(precision[:-1] >= thresholds["precision"])[:1]
chosen = at[reached[0]] if len(reached) else np.nan

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4))
left.plot(at, precision[:-1], "--", label="precision")
left.plot(at, recall[:-1], label="recall")
left.axvline(chosen, color="grey", linestyle=":")
left.set(xlabel="threshold", xlim=np.quantile(at, [0.01, 1]))
left.legend()
right.plot(recall, precision)
right.plot(recall[reached], precision[reached], "o", color="tab:red")
right.set(xlabel="recall", ylabel="precision")
plt.show()

# %% [markdown]
# The dot is the *operating point*: the most targets that can be found while so many of the answers are
# right (`binary.thresholds.precision`).

# %%
sgd_point = {"threshold": chosen, **worth(sgd["scores"] >= chosen)}
sgd_point

# %%
# Try it: another threshold. This one answers "target" for a twentieth of the images.
my_threshold = np.quantile(sgd["scores"], 0.95)
my_threshold, worth(sgd["scores"] >= my_threshold)

# %% [markdown]
# ## Two detectors compared (In 30–39)
#
# The ROC curve has recall against the share of the other images that are taken for targets. A guess
# lies on the diagonal. The area under the curve is 1 for a perfect detector, 0.5 for a guess. The
# random forest's score is the share of its trees that say "target".

# %%
forest = load_group(models / "binary/forest/out_of_fold.npz")
auc = {
    name: roc_auc_score(is_target, group["scores"])
    for name, group in {"SGD": sgd, "forest": forest}.items()
}

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4))
for name, group in {"SGD": sgd, "forest": forest}.items():
    left.plot(*roc_curve(is_target, group["scores"])[:2], label=f"{name}, area {auc[name]:.4f}")
    right.plot(*precision_recall_curve(is_target, group["scores"])[1::-1], label=name)
left.plot([0, 1], [0, 1], "--", color="grey")
left.set(xlabel="false positive rate", ylabel="recall")
right.set(xlabel="recall", ylabel="precision")
left.legend()
right.legend()
plt.show()

# %% [markdown]
# Where targets are rare, the ROC curve flatters: look at precision and recall as well.

# %%
forest_worth = worth(forest["scores"] > thresholds["decision"]["forest"])
forest_worth

# %% [markdown]
# ## Which of all the classes? (In 40–51)
#
# A support vector machine (SVC) tells two classes apart. For all of them it trains one for each pair,
# and the class that wins most of its pairs is the answer (*one-vs-one*). Or it trains one for each
# class against all others, and the highest score wins (*one-vs-rest*), which is what SGD does, too.
# Their answers for the first image, the scores of each class, and how many two-class problems each of
# them has solved for it:

# %%
names = {"svc": "SVC", "ovr_svc": "one-vs-rest SVC", "sgd": "SGD"}
answers = {model: load_group(models / "digits" / model / "predictions.npz") for model in names}
columns = {
    f"{names[model]}: a {answer['first_prediction']}": answer["first_scores"]
    for model, answer in answers.items()
}
pd.DataFrame(columns, index=classes)

# %%
{names[model]: int(answer["n_problems"]) for model, answer in answers.items()}

# %% [markdown]
# Accuracy on the test images, which decides between models only once, at the end:

# %%
test_accuracy = {
    model: (answer["predictions"] == y_test).mean() for model, answer in answers.items()
}
test_accuracy

# %% [markdown]
# SGD over the folds of the training images, on pixels as they are, and on pixels that were each scaled
# to mean 0 and deviation 1. Such a small thing helps.


# %%
def class_of_highest(group):
    """The class of the highest score of each image, (n,)."""
    return group["classes"][group["scores"].argmax(axis=1)]


digits_accuracy = {}
for model in ("sgd", "sgd_scaled"):
    group = load_group(models / "digits" / model / "out_of_fold.npz")
    taken_for = class_of_highest(group)
    digits_accuracy[model] = fold_accuracies(taken_for == y_train, group["folds"])
digits_accuracy

# %% [markdown]
# ## Which are taken for which? (In 52–59)
#
# The confusion matrix of the scaled model, in numbers of images; and without its diagonal, as a share
# of each row, so that classes with more images do not look worse.

# %%
matrix = confusion_matrix(y_train, taken_for, labels=classes)
shares = matrix / matrix.sum(axis=1, keepdims=True)
np.fill_diagonal(shares, 0)

side = 1.5 + 0.45 * len(classes)
figure, axes = plt.subplots(1, 2, figsize=(2 * side, side), layout="constrained")
for ax, values, form in ((axes[0], matrix, "d"), (axes[1], shares, ".1%")):
    display_of = ConfusionMatrixDisplay(values, display_labels=classes)
    display_of.plot(ax=ax, cmap="Greys", values_format=form, colorbar=False, text_kw={"size": 7})
axes[0].set_title("images")
axes[1].set_title("share of the actual class, errors only")
plt.show()

# %% [markdown]
# Look at the images themselves, in the four cells of a pair of classes (`errors.pair`).


# %%
def cells(pair, n_examples=25, n_columns=5):
    """Examples of each of the four cells of a pair of classes, as a figure."""
    chosen = {(a, p): (y_train == a) & (taken_for == p) for a in pair for p in pair}
    titles = [f"{a} classified as {p}: {these.sum():,}" for (a, p), these in chosen.items()]
    pictures = [panel(X_train, these, n_examples, n_columns) for these in chosen.values()]
    return draw_panels(pictures, titles, n_columns=2, size=3)


cells(params["errors"]["pair"])

# %%
# Try it: another pair of `classes`. This one is confused most often.
cells(classes[list(np.unravel_index(shares.argmax(), shares.shape))])

# %% [markdown]
# ## Several answers about one image (In 60–65)
#
# Is the digit large, and is it odd? The nearest training images vote, once for each question. Which
# they are, the pipeline has found for every image, so that another question costs no search.

# %%
section = params["multilabel"]
nearest_in_train = load_group(neighbors / "train_in_train.npz")
y_multilabel = multilabels(y_train, section["large_from"])
voters = y_multilabel[nearest_in_train["indices"][0, : section["n_neighbors"]]]
first_answer = voters.mean(axis=0) > 0.5
first_answer

# %%
multilabel = multilabel_metrics(
    first_answer,
    y_multilabel,
    out_of_fold_predictions(
        nearest_in_train, X_train, y_multilabel, section["n_neighbors"], section["n_folds"]
    ),
)
multilabel

# %% [markdown]
# ## A picture as the answer (In 66–71)
#
# The question is an image with noise, the answer the image without it: a class for each pixel. Each
# pixel takes the value that is most frequent among the nearest noisy training images, before they were
# noisy.

# %%
section = params["denoise"]
random = np.random.RandomState(section["seed"])
noisy_train = add_noise(X_train, section["high"], random)
noisy_test = add_noise(X_test, section["high"], random)

# %%
# Try it: another test image.
shown = slice(0, 1)
cleaned = denoise(noisy_test[shown], noisy_train, X_train, section["n_neighbors"])
pictures = [noisy_test[shown][0], cleaned[0], X_test[shown][0]]
draw_panels(pictures, ["noisy", "cleaned", "as it was"], n_columns=3, size=2)

# %% [markdown]
# The mean absolute error of a pixel of this image, and of all test images:

# %%
denoise_metrics(X_test[shown], noisy_test[shown], cleaned), metrics["denoise.json"]

# %% [markdown]
# ## Exercise 1: a better classifier by its nearest neighbours
#
# How many neighbours shall vote, and shall near ones count for more? Each candidate is cross-validated
# on the training images. The neighbours are known, so that all of them together take seconds, and more
# can be tried than `params.yaml` has.

# %%
# Try it: other numbers of neighbours, up to neighbors.k.
section = params["grid"]
ks = sorted({*section["n_neighbors"], *range(1, min(10, params["neighbors"]["k"]) + 1)})
folds = fold_numbers(StratifiedKFold(section["n_folds"]), y_train)
outside = outside_folds(nearest_in_train, X_train, folds, max(ks))
grid = search_grid(outside, y_train, folds, ks, ["uniform", "distance"])

for weights in ("uniform", "distance"):
    these = grid["weights"] == weights
    plt.errorbar(ks, grid["mean"][these], grid["std"][these], capsize=3, label=weights)
plt.xlabel("neighbours that vote")
plt.ylabel(f"accuracy over {section['n_folds']} folds")
plt.legend()
plt.show()

# %% [markdown]
# The best of the candidates that `params.yaml` names is asked about the test images.

# %%
best = metrics["grid.json"]["best"]
nearest_to_test = load_group(neighbors / "test_in_train.npz")
knn_predictions = vote(nearest_to_test, y_train, best["n_neighbors"], best["weights"])
knn_accuracy = (knn_predictions == y_test).mean()
best, knn_accuracy

# %%
# Try it: another of its errors, and the neighbours that led it there.
errors = np.flatnonzero(knn_predictions != y_test)
image = errors[0]
voters = nearest_to_test["indices"][image, : best["n_neighbors"]]
titles = [f"{y_test[image]}, taken for {knn_predictions[image]}", *map(str, y_train[voters])]
draw_panels([X_test[image], *X_train[voters]], titles, n_columns=len(titles), size=2)

# %% [markdown]
# ## Exercise 2: more images, by shifting those there are
#
# A digit stays the same a little to the side, but its pixels do not. To learn that, the models can be
# given copies.

# %%
# Try it: further right, or down (below 0: left, up).
right, down = 5, 0
draw_panels(
    [digit, shifted(X_train[:1], right, down)[0]],
    ["as it was", f"{right} right, {down} down"],
    n_columns=2,
    size=2,
)

# %% [markdown]
# With a copy for each of `augment.shifts`, the same classifier is right more often.

# %%
y_augmented = load(data / "augmented/labels.npy")
nearest_in_augmented = load_group(neighbors / "test_in_augmented.npz")
augmented_predictions = vote(
    nearest_in_augmented, y_augmented, best["n_neighbors"], best["weights"]
)
augmented_accuracy = (augmented_predictions == y_test).mean()
len(y_train), knn_accuracy, len(y_augmented), augmented_accuracy

# %% [markdown]
# ## And on
#
# What you have found here belongs into `params.yaml`: `dvc exp run -S binary.thresholds.precision=0.95`
# computes what it changes, and keeps it beside the rest. `reports/index.html` has the same story with all
# of its charts, where a slider moves the threshold.
