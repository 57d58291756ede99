"""Images as arrays from 0 to 1 and back, through Pillow, which is imported when it is needed.

What is transparent has no colour that could spread: colours are multiplied by their opacity when an
image is read, and divided by it when one is written.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
OPAQUE = {"1": "L", "L": "L", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}
UNSEEN = 1 / 510


class Pixels(NamedTuple):
    """An image's values, and what it had beside them."""

    values: NDArray[np.float32]
    """(rows, columns) of greys, or (rows, columns, channels); from 0 to 1."""
    opacity: bool
    """Whether the last channel is that."""
    deep: bool
    """Whether it had 16 bits a channel."""
    kept: dict[str, Any]
    """Colour profile and resolution, as Pillow saves them."""


def read(path: Path) -> Pixels:
    """Read a PNG or JPEG file, turned as its camera was held.

    Raises
    ------
    ImportError
        If Pillow is absent.
    OSError, ValueError
        If there is no such file, or it is no image.
    """
    _need_pillow(path)
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            kept: dict[str, Any] = {
                name: file.info[name] for name in ("icc_profile", "dpi") if name in file.info
            }
            image = ImageOps.exif_transpose(file)
            image.load()
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    values: NDArray[np.float32]
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float32) / np.float32(65535)
        return Pixels(values, opacity=False, deep=True, kept=kept)
    opacity = image.has_transparency_data
    if opacity:
        image = image.convert("LA" if image.mode in ("1", "L", "LA") else "RGBA")
    else:
        image = image.convert(OPAQUE.get(image.mode, image.mode))
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise ValueError(
            f"{path} has Pillow's mode {image.mode}, which is not read; save it as PNG in grey or "
            "RGB."
        )
    values = np.asarray(image).astype(np.float32) / np.float32(255)
    if opacity:
        values[..., :-1] *= values[..., -1:]
    return Pixels(values, opacity=opacity, deep=False, kept=kept)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read which pixels of an image are dark."""
    pixels = read(path)
    grey = pixels.values if pixels.values.ndim == 2 else pixels.values[..., :3].mean(axis=-1)
    dark: NDArray[np.bool_] = grey < 0.5
    return dark


def check_writable(path: Path, shape: tuple[int, ...], *, opacity: bool) -> None:
    """Raise ValueError unless an array of this shape can be a file of this name."""
    _need_pillow(path)
    channels = shape[2] if len(shape) == 3 else 1
    if len(shape) not in (2, 3) or channels not in (1, 2, 3, 4):
        raise ValueError(
            f"{path} is to be an image, but the field has shape {shape}, not (rows, columns) or "
            "(rows, columns, 1 to 4 channels); write it to a .npy file."
        )
    if FORMATS[path.suffix.lower()] == "JPEG" and (opacity or channels in (2, 4)):
        raise ValueError(f"{path} cannot hold transparency, being JPEG; write it to a .png file.")


def straight(pixels: Pixels) -> NDArray[np.float32]:
    """Return the values with colours that are not multiplied by their opacity."""
    if not pixels.opacity:
        return pixels.values
    values = pixels.values.copy()
    opacity = values[..., -1:]
    # What is too transparent to be seen has no colour.
    np.divide(values[..., :-1], opacity, out=values[..., :-1], where=opacity > UNSEEN)
    return values


def write(file: BinaryIO, path: Path, pixels: Pixels) -> float:
    """Write an image of the format that `path` names; return the share of values cut to 0 to 1."""
    from PIL import Image

    # What rounding alone put beyond an end is not worth a word.
    share = float(np.mean(~((pixels.values > -1e-4) & (pixels.values < 1 + 1e-4))))
    values = straight(pixels)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    deep = pixels.deep and path.suffix.lower() == ".png" and values.ndim == 2
    largest, dtype = (65535, np.uint16) if deep else (255, np.uint8)
    whole = np.rint(np.clip(np.nan_to_num(values), 0, 1) * largest).astype(dtype)
    kept = {name: value for name, value in pixels.kept.items() if name == "dpi" or not deep}
    Image.fromarray(whole).save(file, format=FORMATS[path.suffix.lower()], quality=95, **kept)
    return share


def _need_pillow(path: Path) -> None:
    if find_spec("PIL") is None:
        raise ImportError(
            f"{path} needs Pillow, not installed; pip install 'numfuse[plot]', or use a .npy file"
        )
