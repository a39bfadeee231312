"""Digits of pictures: found, brought to MNIST's form, and answered, or refused in one line."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import chdir, suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvc.repo import Repo
from numpy.typing import NDArray
from PIL import Image
from ruamel.yaml import YAML
from scipy import ndimage

from predict.__main__ import main
from predict.classify import Classifier
from predict.evaluate import SHAPES, report
from predict.evaluate import page as photographed
from predict.find import MAX_DIGITS, STROKE, find_digits, mnist_form, read_picture, thickened
from stages.common.arrays import load_group, load_set, save, save_set
from stages.common.errors import UserError
from stages.data.sources import Mnist
from stages.strokes import extract_features, train_svm
from tests.support import ROOT

Page = NDArray[np.uint8]


def page(images: NDArray[np.uint8], n_columns: int, side: int = 112) -> Page:
    """Dark digits on a light page, line after line, (height, width, 3)."""
    tiles = np.zeros((-(-len(images) // n_columns) * n_columns, side, side))
    for tile, image in zip(tiles, images, strict=False):
        large = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
        tile[:] = np.asarray(large)
    ink = tiles.reshape(-1, n_columns, side, side).swapaxes(1, 2).reshape(-1, n_columns * side)
    grey = (255 - np.pad(ink, side // 4)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def noisy(picture: NDArray) -> Page:
    noise = np.random.RandomState(0).normal(0, 12, picture.shape)
    return np.clip(picture * 0.8 + 20 + noise, 0, 255).astype(np.uint8)


def forms(picture: Page) -> NDArray[np.uint8]:
    return np.stack([mnist_form(digit.ink) for digit in find_digits(picture)])


def likeness(images: NDArray, others: NDArray) -> NDArray[np.float64]:
    """The correlation of each pair of images, (n,), to within a pixel of the centre's rounding."""
    shifts = list(product((-1, 0, 1), repeat=2))
    return np.array(
        [
            max(np.corrcoef(np.roll(a, s, (0, 1)).ravel(), b.ravel())[0, 1] for s in shifts)
            for a, b in zip(images, others, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def whole(digits: Mnist) -> NDArray[np.uint8]:
    """A hundred digits without a gap in their ink, so that each is one component."""
    found = [i for i in digits[0][::20] if ndimage.label(i > 60, np.ones((3, 3)))[1] == 1]
    return np.stack(found[:100])


@pytest.fixture(scope="module")
def root(digits: Mnist, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that has 4,000 digits for training and 1,000 for the test, and has run."""
    folder, (images, labels) = tmp_path_factory.mktemp("pipeline"), digits
    stages: dict[str, dict[str, Any]] = {
        "split": {"deps": ["mnist"], "outs": ["train", "test", "classes.json"]},
        "train_svm": {"deps": ["code.py", "train", "test"], "outs": ["features", "models"]},
    }
    for stage in stages.values():
        stage |= {"cmd": "true"} | {k: [f"data/{name}" for name in of] for k, of in stage.items()}
    stages["train_svm"]["params"] = ["strokes"]
    named = YAML(typ="safe").load(ROOT / "dvc.yaml")["vars"]
    YAML().dump({"vars": named, "stages": stages}, folder / "dvc.yaml")
    data, order = folder / "data", np.random.RandomState(0).permutation(len(images))
    train, test = order[:4000], order[4000:]
    save(data / "mnist" / "labels.npy", labels)
    (data / "code.py").touch()
    save_set(data / "train", images[train], labels[train])
    save_set(data / "test", images[test], labels[test])
    extract_features.main(data / "train", data / "test", data / "features")
    params, chosen = folder / "params.yaml", folder / "chosen"
    params.write_text("strokes: {C: 10, jitter: 0.1, n_nearest: 10, max_displacement: 2, seed: 0}")
    save(chosen / "support.npy", np.arange(4000))
    (chosen / "chosen.json").write_text('{"gamma": 3, "n_virtual_copies": 0, "weight": 4}')
    sets = data / "train", data / "test", data / "features"
    train_svm.main(params, chosen, *sets, data / "models" / "digits" / "strokes")
    # A dollar is a dollar, in drawings, too.
    names = {str(label): rf"$\frac$ {label}" for label in range(10)}
    (data / "classes.json").write_text(json.dumps({"noun": "digit", "names": names}))
    with chdir(folder), Repo.init(no_scm=True) as repo:
        repo.commit(force=True)
    # What only other stages read, and what has been made may be nowhere else.
    shutil.rmtree(data / "mnist")
    shutil.rmtree(folder / ".dvc" / "cache")
    return folder


@pytest.fixture
def copied(root: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return shutil.copytree(root, tmp_path / "pipeline")


def save_page(path: Path, picture: NDArray, **options: Any) -> Path:
    Image.fromarray(picture).save(path, **options)
    return path


def test_a_lopsided_digit_stays_whole() -> None:
    ink = np.zeros((100, 100))
    ink[:, :3] = ink[-3:] = ink[50:, :50] = 1
    assert np.ptp(np.nonzero(mnist_form(ink))[0]) + 1 == 20


@pytest.mark.parametrize(("kind", "shape"), [*SHAPES, ("plain paper", (1, 10))])
def test_digits_of_pages_are_read(
    root: Path, digits: Mnist, kind: str, shape: tuple[int, int]
) -> None:
    rng, n_pages = np.random.default_rng(0), 20 if shape == (1, 1) else 5
    pages = [photographed(kind, shape, digits[:2], rng) for _ in range(n_pages)]
    total = report(kind, Classifier(root), pages)
    # Squares that are smaller than the digits hide some of them.
    n_hidden = 6 if kind == "squared paper" else 0
    assert total["right"] >= 0.95 * total["digits"] - n_hidden
    assert total["found"] >= total["digits"] - n_hidden
    assert total["pages in order"] >= n_pages - (n_hidden > 0)
    # Of the digits, too, some are.
    assert total["sure and wrong"] <= 1


def test_rules_alone_are_no_digits(root: Path) -> None:
    classifier, grid = Classifier(root), np.full((500, 700, 3), 230, dtype=np.uint8)
    grid[60:440:60, 100:601] = grid[60:421, 100:620:100] = 80
    for picture in (grid, np.invert(grid), grid[100:, 150:], grid[90:], grid[80:130, 120:320]):
        with suppress(UserError):
            answers = classifier.read(find_digits(picture))
            assert all(answer.verdict != "sure" for answer in answers)


def test_what_goes_on_beyond_the_edge_is_not_sure(root: Path, whole: NDArray[np.uint8]) -> None:
    classifier, picture = Classifier(root), page(whole[:3], 3)
    digits = find_digits(picture)
    assert "sure" in [answer.verdict for answer in classifier.read(digits)]
    parts = [digit._replace(is_part=True) for digit in digits]
    assert "sure" not in [answer.verdict for answer in classifier.read(parts)]
    cut = find_digits(picture[:, : digits[2].box[1].stop - 1])
    assert [digit.is_part for digit in cut] == [False, False, True]


@pytest.mark.parametrize("change", [np.asarray, np.invert], ids=["light", "dark"])
def test_all_ink_of_a_picture_of_mnists_size_is_one_digit(digits: Mnist, change: Any) -> None:
    for image in digits[0][::50]:
        picture = change(np.repeat(image[..., None], 3, axis=2))
        assert abs(forms(picture)[0].astype(int) - image).max() <= 1
        assert likeness(forms(noisy(picture)), image[None]) > 0.9


def test_pieces_of_a_digit_are_one_and_specks_none() -> None:
    ink = np.full((300, 500, 3), 255, dtype=np.uint8)
    ink[100:200, 100:110] = ink[190:200, 110:150] = ink[100:110, 118:160] = 0
    ink[100:200, 300:310] = ink[20:23, 400:403] = ink[250, 50] = 0
    first, second = find_digits(ink)
    ends = [(side.start, side.stop) for side in (*first.box, second.box[1])]
    assert np.abs(np.array(ends) - [(100, 200), (100, 160), (300, 310)]).max() <= 4
    assert [first.is_part, second.is_part] == [False, False]
    # What lies in the box of another may be a part of it.
    ink[190:200, 300:450] = ink[100:145, 380:390] = 0
    assert sorted(digit.is_part for digit in find_digits(ink)) == [False, True, True]


@pytest.mark.parametrize("width", [1, 30])
def test_strokes_are_as_wide_as_mnists(width: int) -> None:
    """Of a cross, whose width is its area by its length."""
    ink = np.zeros((200, 200))
    ink[:, 100 : 100 + width] = ink[100 : 100 + width, :] = 1
    thick = thickened(ink)
    column = thick[thick.shape[0] // 8]
    assert column.sum() == pytest.approx(max(width, STROKE * 200), abs=1.5)
    assert ink.sum() <= thick.sum()


def test_light_place_size_and_kind_of_file_change_nothing(
    tmp_path: Path, whole: NDArray[np.uint8]
) -> None:
    flat = page(whole[:6], 3)
    ink, exif = 255 - flat[..., 0], Image.Exif()
    exif[0x0112] = 6  # To be turned to the right.
    save_page(tmp_path / "noise.png", noisy(flat))
    save_page(tmp_path / "faint.png", flat // 4 + 100)
    save_page(tmp_path / "off-centre.png", np.pad(flat, ((900, 100), (20, 500), (0, 0)), "edge"))
    save_page(tmp_path / "larger.png", np.kron(flat, np.ones((5, 5, 1), dtype=np.uint8)))
    save_page(tmp_path / "black.png", np.dstack([np.zeros_like(flat), ink]))
    save_page(tmp_path / "white.png", np.dstack([np.full_like(flat, 255), ink]))
    save_page(tmp_path / "turned.png", np.rot90(flat), exif=exif)
    save_page(tmp_path / "deep.png", 60_000 - ink.astype(np.uint16) * 200)
    for path in sorted(tmp_path.iterdir()):
        assert likeness(forms(read_picture(path)), forms(flat)).min() > 0.9, path.name


def test_answers_are_those_that_the_pipeline_has_evaluated(root: Path) -> None:
    classifier = Classifier(root)
    answers = classifier.predict(load_set(classifier.test)[0])
    evaluated = load_group(root / "data" / "models" / "digits" / "strokes" / "predictions.npz")
    assert [answer.label for answer in answers] == evaluated["predictions"].tolist()
    assert np.any(evaluated["predictions"] != evaluated["alone"])
    np.testing.assert_allclose([a.margin for a in answers], evaluated["margin"], atol=1e-4)
    distances = np.sqrt(evaluated["squared_distances"])
    np.testing.assert_allclose([a.distance for a in answers], distances)
    farthest = np.quantile(distances, 0.999)
    for answer in answers:
        first, second = answer.candidates
        assert answer.label == first != second
        shown = classifier.labels[answer.neighbors]
        np.testing.assert_array_equal(shown, [first, first, second, second])
        description = classifier.names[first]
        if answer.distance > farthest:
            description = f"unlike any digit, nearest to {description}"
        elif answer.margin < 1:
            description = f"unsure: {description} or {classifier.names[second]}"
        assert classifier.describe(answer) == description


BLANK = np.full((300, 400, 3), 230, dtype=np.uint8)
LINE = BLANK.copy()
LINE[90:93] = 100
# What is no page of digits, and what of it is told.
NO_PAGES = {
    "noise": (noisy(BLANK), "blank page"),
    "gradient": (BLANK * np.linspace(0.45, 1, 400)[:, None], "blank page"),
    "a pixel": (BLANK[:1, :1], "blank page"),
    "sliver": (np.full((5000, 2, 3), 100, dtype=np.uint8), "blank page"),
    "a line": (LINE, "no digit found"),
}


@pytest.mark.parametrize(("picture", "line"), NO_PAGES.values(), ids=NO_PAGES)
def test_a_page_without_digits_is_refused(picture: Page, line: str) -> None:
    with pytest.raises(UserError, match=line):
        find_digits(picture.astype(np.uint8))


def test_sixty_digits_are_read_and_no_more(whole: NDArray[np.uint8]) -> None:
    assert len(find_digits(page(whole[:MAX_DIGITS], 10, 84))) == MAX_DIGITS
    with pytest.raises(UserError, match="61 digits found, but at most 60 are read"):
        find_digits(page(whole[: MAX_DIGITS + 1], 10, 84))


def mistake(root: Path, *files: Path, out: Path | None = None) -> str:
    with pytest.raises(UserError) as caught:
        main(files, out or root / "out.png", root=root)
    assert out or not (root / "out.png").exists()
    return str(caught.value)


def test_what_cannot_be_read_or_written_is_told_in_one_line(
    tmp_path: Path, root: Path, whole: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = save_page(tmp_path / "page.png", page(whole[:1], 1))
    (tmp_path / "text").write_bytes(b"no picture")
    (tmp_path / "cut").write_bytes(picture.read_bytes()[:-200])
    save_page(tmp_path / "blank.png", BLANK)
    os.mkfifo(tmp_path / "pipe")
    lines = {
        "text": "not a picture, or HEIC: save that as JPEG first",
        "cut": "cannot be read: ",
        "blank.png": "a blank page",
        "none": "cannot be read: No such file or directory",
        "pipe": "is no file, but a pipe or a device: save the picture to a file",
        os.devnull: "is no file, but a pipe or a device: save the picture to a file",
    }
    told = mistake(root, *(tmp_path / name for name in lines)).splitlines()
    for line, (name, start) in zip(told, lines.items(), strict=True):
        assert line.startswith(f"{tmp_path / name}: {start}")
    for out in (tmp_path, tmp_path / "text" / "x.png"):
        assert mistake(root, picture, out=out).startswith(f"{out}: cannot be written: ")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5_000)
    assert mistake(root, picture).startswith(f"{picture}: cannot be read: Image size ")
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "abc")
    assert mistake(root, picture).startswith("LOKY_MAX_CPU_COUNT is 'abc', but should be ")


def refusal(root: Path) -> str:
    with pytest.raises(UserError) as caught:
        Classifier(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


AGAIN = "is not what dvc.lock records: dvc repro train_svm, or make verify"


def test_what_is_edited_or_damaged_is_told(copied: Path) -> None:
    files = sorted(path for path in (copied / "data").rglob("*") if path.is_file())
    for path, old, new in (
        *((path, b"", b"x") for path in files),
        (copied / "params.yaml", b"C: 10", b"C: 20"),
        (copied / "dvc.yaml", b"cmd: 'true'", b"cmd: 'false'"),
        (copied / "dvc.lock", b"data/features", b"data/others"),
    ):
        whole = path.read_bytes()
        assert old in whole
        path.write_bytes(whole.replace(old, new, 1))
        assert refusal(copied).endswith(AGAIN)
        path.write_bytes(whole)
    # Of parameters, those of the stages behind an answer.
    (copied / "params.yaml").write_text((copied / "params.yaml").read_text() + "\nother: 1\n")
    assert Classifier(copied)


def test_what_is_not_there_is_told_if_it_is_read(copied: Path) -> None:
    data, moved = copied / "data", copied / "moved"
    shutil.rmtree(data / "test")
    assert Classifier(copied)
    for name in ("train", "features", "classes.json", "models"):
        (data / name).rename(moved)
        told = refusal(copied)
        assert told.startswith(str(data / name))
        assert told.endswith("is not there: make repro, or dvc pull")
        moved.rename(data / name)


@pytest.mark.parametrize("name", ["dvc.lock", "dvc.yaml"])
def test_a_pipeline_that_cannot_be_read_is_told(copied: Path, name: str) -> None:
    path = copied / name
    whole = path.read_text()
    path.write_text(f"<<<<<<< HEAD\n{whole}=======\n{whole}>>>>>>> main\n")
    assert name in refusal(copied)
    path.unlink()
    assert refusal(copied)


def test_each_picture_is_answered_and_drawn_and_mistakes_are_told_last(
    tmp_path: Path, root: Path, whole: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    classifier, folder = Classifier(root), tmp_path / "new"
    pages = [page(whole[:i], i) for i in (1, 2)]
    one, two = (save_page(tmp_path / f"{i}.png", picture) for i, picture in enumerate(pages))
    of_one, of_two = (classifier.predict(forms(picture)) for picture in pages)
    files = two, tmp_path / "none.png", one
    assert mistake(root, *files, out=folder / "out.png").startswith(f"{files[1]}: ")
    lines = capsys.readouterr().out.splitlines()
    for path, answers in ((two, of_two), (one, of_one)):
        assert lines.pop(0) == str(path)
        for i, answer in enumerate(answers, 1):
            assert lines.pop(0) == f"{i}: {classifier.describe(answer)} ({answer.reasons()})"
    assert not lines
    assert sorted(path.name for path in folder.iterdir()) == ["out-1.png", "out-3.png"]
    main((one,), folder / "alone.png", root=root)
    assert (folder / "alone.png").read_bytes() == (folder / "out-3.png").read_bytes()
    assert capsys.readouterr().out.startswith("1: ")
    main((two, one), folder / "out.png", as_json=True, root=root)
    records = json.loads(capsys.readouterr().out)
    for path, answers in ((two, of_two), (one, of_one)):
        for record, answer in zip(records[str(path)], answers, strict=True):
            assert answer._asdict().items() <= record.items()


def test_only_a_drawing_is_drawn_over(tmp_path: Path, root: Path, whole: NDArray[np.uint8]) -> None:
    one, two = (save_page(tmp_path / f"x-{i}.png", page(whole[:i], i)) for i in (1, 2))
    for path in (one, root / "data" / "classes.json"):
        out, before = tmp_path / f"to-{path.name}", path.read_bytes()
        os.link(path, out)
        line = f"{out} is no drawing: name another file by --out"
        assert mistake(root, one, out=out) == line
        assert path.read_bytes() == before
    assert "is no drawing" in mistake(root, two, one, out=tmp_path / "x.png")


def run(*command: str, cwd: Path = ROOT) -> tuple[int, str, str]:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_command_ends_with_a_line_each_and_1(root: Path) -> None:
    command = sys.executable, "-m", "predict", "--", "-none $HOME.jpg", "x.jpg"
    none = "cannot be read: No such file or directory\n"
    lines = f"-none $HOME.jpg: {none}x.jpg: {none}"
    assert run(*command, cwd=root) == (1, "", lines)


def test_make_takes_any_file_name() -> None:
    name = """-it's a "b" $HOME $(shell x) $$ `x`;x&x|x #ü\\.jpg"""
    # What make would run, by a stand-in for Python that prints its arguments.
    recipe = run("make", "--dry-run", "--assume-old=.venv", f"IMAGE={name}", "predict")[1]
    (line,) = [line for line in recipe.splitlines() if "-m predict" in line]
    printed = run("sh", "-c", line.replace(".venv/bin/python -m predict --", "printf '%s'"))[1]
    assert printed == name
