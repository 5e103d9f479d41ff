"""Whether a file is a picture that the host can load: told from its first bytes, then by the host's own library."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .errors import LabError

__all__ = ["require_picture", "require_picture_for"]

_BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_CURE = "give a picture, for example a PNG or JPEG"


def require_picture(path: Path) -> None:
    """Raise ``LabError`` unless ``path`` begins as a picture does. At once, with nothing installed."""
    try:
        with path.open("rb") as file:
            begin = file.read(16)
    except FileNotFoundError:
        raise LabError(f"There is no picture {path}.") from None
    except OSError as error:
        raise LabError(f"The picture {path} cannot be read ({error.strerror or error}); {_CURE}.") from error
    known = begin.startswith(_BEGINNINGS) or (begin[:4] == b"RIFF" and begin[8:12] == b"WEBP") or begin[4:8] == b"ftyp"
    if not known:
        what = "is empty" if not begin else "is not a picture that ComfyUI can load"
        raise LabError(f"{path} {what}; {_CURE}.")


def require_picture_for(python: Path, path: Path) -> None:
    """Raise ``LabError`` unless that Python's Pillow decodes all of ``path``: before the host is started."""
    code = "import sys; from PIL import Image; Image.open(sys.argv[1]).convert('RGB')"
    tried = subprocess.run([str(python), "-c", code, str(path)], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        reason = (tried.stderr.strip().splitlines() or ["no reason was given"])[-1]
        raise LabError(f"The picture {path} cannot be decoded ({reason}); {_CURE}.")
