"""The probe as one file that any Python of a host can run: our modules and the one of nvidia-ml-py."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

__all__ = ["bundle", "bundle_name"]

_MAIN = "from lepton_byoc.onhost.program import main\n\nmain()\n"
# With a fixed time, equal contents are equal bytes, so that each version is sent to a host once.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@cache
def bundle() -> bytes:
    """A zipapp: bytes that ``python3 FILE`` runs."""
    folder = Path(__file__).parent
    files = {f"lepton_byoc/onhost/{path.name}": path.read_bytes() for path in sorted((folder / "onhost").glob("*.py"))}
    files |= {"lepton_byoc/__init__.py": b"", "pynvml.py": _pynvml(), "__main__.py": _MAIN.encode()}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in sorted(files.items()):
            file.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def bundle_name() -> str:
    """Its file name on hosts, which depends on its contents."""
    return f"byoc-{sha256(bundle()).hexdigest()[:20]}.pyz"


def _pynvml() -> bytes:
    spec = find_spec("pynvml")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_bytes()
