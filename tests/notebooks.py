"""Runs notebooks and stores their outputs; makes README.md from nbs/index.ipynb.

    python tests/notebooks.py store [nbs/02_transforms.ipynb ...]
    python tests/notebooks.py readme
"""
import base64
import io
import subprocess
import sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter
from nbconvert.preprocessors import ExecutePreprocessor
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


def notebooks():
    "All notebooks of the project, in their order."
    return [p for p in sorted((ROOT / "nbs").rglob("*.ipynb")) if not any(part.startswith((".", "_")) for part in p.relative_to(ROOT).parts)]


def fewer_colours(png, colours=256):
    "The PNG with a palette: a third of the size, and figures look the same."
    out = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").quantize(colours).save(out, "png", optimize=True)
    return min(png, base64.b64encode(out.getvalue()).decode(), key=len)


def store(path):
    "Runs a notebook from top to bottom, keeps its outputs without what changes from run to run."
    nb = nbformat.read(path, as_version=4)
    ExecutePreprocessor(timeout=7200, kernel_name="python3").preprocess(nb, {"metadata": {"path": str(path.parent)}})
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}): output["data"]["image/png"] = fewer_colours(output["data"]["image/png"])
    nbformat.write(nb, path)
    subprocess.run(["nbdev_clean", "--fname", str(path)], check=True, cwd=ROOT)


def readme():
    "The text of README.md: index.ipynb without hidden cells and directives, its links pointing into nbs/."
    nb = nbformat.read(ROOT / "nbs" / "index.ipynb", as_version=4)
    nb.cells = [c for c in nb.cells if not c.source.startswith("#| hide")]
    for c in nb.cells:
        c.source = "\n".join(line for line in c.source.splitlines() if not line.startswith("#|"))
        for output in c.get("outputs", []): output.get("data", {}).pop("image/png", None)
    nb.metadata["language_info"] = {"name": "python"}
    text, _ = MarkdownExporter().from_notebook_node(nb)
    return text.replace("](../", "](").strip() + "\n"


if __name__ == "__main__":
    command, *names = sys.argv[1:]
    if command == "store":
        for path in map(Path, names) if names else notebooks():
            print(path, flush=True)
            store(path.resolve())
    elif command == "readme": (ROOT / "README.md").write_text(readme(), encoding="utf-8")
    else: sys.exit(f"unknown command {command!r}; it must be 'store' or 'readme'")
