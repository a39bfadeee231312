"""Which digits a picture shows: ``python -m predict photo.jpg``.

``make predict IMAGE=photo.jpg`` is the same, with any file name.

Outside of the graph: no stage reads it, and it reads what ``dvc repro`` has made.
"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from predict.classify import Answer, Classifier
from predict.draw import save_prediction
from predict.find import Digit, find_digits, read_picture
from stages.common.errors import UserError
from stages.common.process_environment import check_cores

PNG = b"\x89PNG\r\n\x1a\n"


def record(digit: Digit, answer: Answer, shape: tuple[int, ...]) -> dict[str, Any]:
    """The same for a program; the digit's place as shares of the picture's width and height."""
    rows, columns = digit.box
    height, width = shape[:2]
    return answer._asdict() | {
        "left": round(columns.start / width, 4),
        "top": round(rows.start / height, 4),
        "right": round(columns.stop / width, 4),
        "bottom": round(rows.stop / height, 4),
    }


def check_drawings(drawings: Iterable[Path], pictures: Iterable[Path]) -> None:
    """Raise :class:`UserError` if a drawing would replace a picture, or what is no drawing."""
    pictures = [path for path in pictures if path.exists()]
    for drawing in filter(Path.is_file, drawings):
        if any(map(drawing.samefile, pictures)) or not drawing.read_bytes().startswith(PNG):
            raise UserError(f"{drawing} is no drawing: name another file by --out")


def main(files: Sequence[Path], out: Path, as_json: bool = False, root: Path = Path()) -> None:
    """Say which digits pictures show, how sure that is, and draw what decided.

    Args:
        files: Pictures of one digit or several.
        out: The PNG to write; of several pictures, with the place of each in its name.
        as_json: Print JSON.
        root: The pipeline's folder.

    Raises:
        UserError: A picture was not read, or its drawing not written, and all others are answered;
            or a drawing would replace what is none, and nothing is read.
    """
    check_cores()
    classifier = Classifier(root)
    drawings = [out]
    if len(files) > 1:
        drawings = [out.parent / f"{out.stem}-{i}{out.suffix}" for i, _ in enumerate(files, 1)]
    check_drawings(drawings, files)
    records, mistakes = {}, []
    for path, drawing in zip(files, drawings, strict=True):
        try:
            picture = read_picture(path)
            digits = find_digits(picture)
        except UserError as error:
            mistakes.append(f"{path}: {error}")
            continue
        answers = classifier.read(digits)
        records[str(path)] = [
            record(digit, answer, picture.shape)
            for digit, answer in zip(digits, answers, strict=True)
        ]
        if not as_json:
            if len(files) > 1:
                print(path)
            for i, answer in enumerate(answers, 1):
                print(f"{i}: {classifier.describe(answer)} ({answer.reasons()})")
        try:
            save_prediction(drawing, picture, digits, answers, classifier)
        except OSError as error:
            mistakes.append(f"{drawing}: cannot be written: {error.strerror}")
    if as_json:
        print(json.dumps(records, indent=2))
    if mistakes:
        raise UserError("\n".join(mistakes))


if __name__ == "__main__":
    # A file may have a name that the terminal cannot show.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    parser = ArgumentParser("python -m predict", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="pictures of one digit or several")
    parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    parser.add_argument(
        "--out",
        default="prediction.png",
        type=Path,
        help="the PNG to write; of several pictures, with the place of each in its name",
    )
    try:
        main(**vars(parser.parse_args()))
    except UserError as error:
        sys.exit(str(error))
