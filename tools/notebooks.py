"""Runs notebooks and stores their outputs; makes README.md from nbs/index.ipynb.

    python tools/notebooks.py store [nbs/02_transforms.ipynb ...]
    python tools/notebooks.py readme
"""
import base64
import io
import re
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
    "Runs a notebook from top to bottom, keeps its outputs, figures with their alt text, without what changes from run to run."
    nb = nbformat.read(path, as_version=4)
    nb.cells.insert(0, nbformat.v4.new_code_cell("from interlib.draw.alt_texts import describe_figures; describe_figures()"))
    ExecutePreprocessor(timeout=7200, kernel_name="python3").preprocess(nb, {"metadata": {"path": str(path.parent)}})
    nb.cells.pop(0)
    for cell in nb.cells:
        if cell.cell_type == "code": cell.outputs = [o for o in cell.outputs if "application/vnd.jupyter.widget-view+json" not in o.get("data", {})]      # progress bars
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}): output["data"]["image/png"] = fewer_colours(output["data"]["image/png"])
    nb.metadata.pop("widgets", None)                                                        # their states
    nbformat.write(nb, path)
    subprocess.run(["nbdev_clean", "--fname", str(path)], check=True, cwd=ROOT)


def readme():
    "README.md from index.ipynb, as text and images by file name: no hidden cells, links as seen from the top folder."
    nb = nbformat.read(ROOT / "nbs" / "index.ipynb", as_version=4)
    nb.cells = [c for c in nb.cells if not re.match(r"#\|\s*hide\s", c.source)]
    for c in nb.cells:
        if c.source.startswith("#| hide_input"): c.source = ""
        for output in c.get("outputs", []): output.get("data", {}).pop("text/html", None)
    nb.metadata["language_info"] = {"name": "python"}
    text, resources = MarkdownExporter().from_notebook_node(nb)
    text = re.sub(r"```python\s*```\n", "", text)
    text = re.sub(r"\]\((?!http|\.\./|output_)", "](nbs/", text).replace("](../", "](").replace("![png](output_", "![interactions](nbs/images/index_")
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", {name.replace("output_", "index_"): png for name, png in resources["outputs"].items()}


if __name__ == "__main__":
    command, *names = sys.argv[1:]
    if command == "store":
        for path in map(Path, names) if names else notebooks():
            print(path, flush=True)
            store(path.resolve())
    elif command == "readme":
        text, images = readme()
        (ROOT / "README.md").write_text(text, encoding="utf-8")
        (ROOT / "nbs" / "images").mkdir(exist_ok=True)
        for name, png in images.items(): (ROOT / "nbs" / "images" / name).write_bytes(png)
    else: sys.exit(f"unknown command {command!r}; it must be 'store' or 'readme'")
