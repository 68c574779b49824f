"""Check the wheel in a folder: it holds the package and its data, nothing else, and works zipped.

Usage: python tools/check_wheel.py dist
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Run with the wheel itself on the path, so that nothing is read from the checkout.
TRY_IT = """
import sk_ulmfit
from sk_ulmfit.datasets import load_banking77
assert ".whl" in sk_ulmfit.__file__, sk_ulmfit.__file__
from sk_ulmfit.pretrained import load_pretrained
assert len(load_banking77(subset="all").data) == 13_083
assert load_pretrained("en-small", ("backward",)).directions == ("backward",)
"""


def expected_files() -> set[str]:
    """Files of the package in the checkout that belong into the wheel."""
    return {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "sk_ulmfit").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def main(folder: str) -> None:
    """Check the only wheel in `folder`."""
    wheels = sorted(Path(folder).glob("*.whl"))
    if len(wheels) != 1:
        sys.exit(f"{folder} holds {len(wheels)} wheels instead of one.")
    (wheel,) = wheels
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    files = {name for name in names if ".dist-info/" not in name}
    if missing := expected_files() - files:
        sys.exit(f"Not in {wheel.name}: {', '.join(sorted(missing))}")
    if surplus := files - expected_files():
        sys.exit(f"Should not be in {wheel.name}: {', '.join(sorted(surplus))}")
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        sys.exit(f"Not in {wheel.name}: LICENSE")
    with tempfile.TemporaryDirectory() as elsewhere:
        environment = {**os.environ, "PYTHONPATH": str(wheel.resolve())}
        subprocess.run([sys.executable, "-c", TRY_IT], cwd=elsewhere, env=environment, check=True)
    size = wheel.stat().st_size / 1e6
    print(f"{wheel.name}: {len(files)} files, {size:.2f} MB, reads its data from the zip.")


if __name__ == "__main__":
    main(*sys.argv[1:])
