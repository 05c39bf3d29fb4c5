"""Make the Python of protos/ from its .proto files, or check that it is what they give.

``python .ci/protos.py`` exits with 1 and names each file that is not; ``--write`` makes them.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent / "protos"


def generated(folder: Path) -> list[Path]:
    """Write what the compiler makes of every .proto file under ``folder``, and return the files."""
    # the compiler looks for its plugin on the path, and a virtual environment need not be on it
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    sources = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.proto"))
    status = protoc.main(
        ["protoc", f"-I{ROOT}", f"--python_out={folder}", f"--grpc_python_out={folder}",
         f"--mypy_out=quiet:{folder}", f"--mypy_grpc_out=quiet:{folder}", *sources]
    )  # fmt: skip
    if status != 0:
        raise SystemExit(f"the compiler of protocol buffers exits with {status}")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def main() -> int:
    """Compare or write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stale = []
        for made in generated(folder):
            kept = ROOT / made.relative_to(folder)
            if not kept.exists() or kept.read_bytes() != made.read_bytes():
                stale.append(kept)
                if "--write" in sys.argv[1:]:
                    shutil.copyfile(made, kept)
        said = "wrote" if "--write" in sys.argv[1:] else "not what its .proto gives"
        sys.stdout.writelines(f"{said}: {path}\n" for path in stale)
    return int(bool(stale) and "--write" not in sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
