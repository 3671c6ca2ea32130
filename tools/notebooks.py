"""Runs notebooks and stores their outputs; makes README.md from nbs/index.ipynb.

    python tools/notebooks.py store [nbs/02_transforms.ipynb ...]
    python tools/notebooks.py readme
    FAST=1 python tools/notebooks.py test [nbs/core ...]
"""
import base64
import io
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter
from nbconvert.preprocessors import ExecutePreprocessor
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
RAN = "ran a notebook:" # begins a line that `run` prints and `test` reads


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


def run(paths):
    "Runs notebooks one after the other as `nbdev_test` does; prints a line for each: did all go well, seconds, path."
    from nbdev.config import get_config
    from nbdev.test import test_nb
    os.chdir(ROOT / "nbs")
    flags = get_config().tst_flags.split()
    for path in paths:
        good, seconds = test_nb(path, flags, basepath=ROOT)
        print(f"\n{RAN} {int(good)} {seconds:.1f} {path}", flush=True)


def told(output):
    "What `run` said of its notebooks: path -> whether all went well, and seconds."
    lines = [line.removeprefix(f"{RAN} ").split(" ", 2) for line in output.splitlines() if line.startswith(f"{RAN} ")]
    return {Path(path): (good == "1", float(seconds)) for good, seconds, path in lines}


def run_apart(paths):
    "Runs notebooks in a process of their own; one that it does not come to, since an earlier one ended it, has failed."
    process = subprocess.run([sys.executable, __file__, "run", *map(str, paths)], stdout=subprocess.PIPE, text=True)
    return dict.fromkeys(paths, (False, 0.)) | told(process.stdout)


def test(paths, workers=3, together=10):
    """Runs notebooks side by side, tutorials first, since they take longest; returns the names of those that failed.

    `nbdev_test` does the same in processes that live on to the end and keep what every notebook has made: 15 GB.
    Here a process is left after some notebooks, and a failure is told when it happens."""
    long = [[path] for path in paths if path.parent.name == "tutorials"]
    rest = [path for path in paths if [path] not in long]
    batches = [*long, *(rest[i:i + together] for i in range(0, len(rest), together))]
    name = lambda path: os.path.relpath(path, ROOT / "nbs")
    failed, times, started = [], {}, time.time()
    with ThreadPoolExecutor(workers) as pool:
        for future in as_completed([pool.submit(run_apart, batch) for batch in batches]):
            for path, (good, times[name(path)]) in future.result().items():
                if not good: failed.append(name(path)), print(f"FAILED {name(path)}", flush=True)
    for path, seconds in sorted(times.items(), key=lambda item: -item[1])[:15]: print(f"{seconds:6.1f} s  {path}")
    print(f"{len(times) - len(failed)} notebooks passed, {len(failed)} failed in {time.time() - started:.0f} s")
    return failed


def below(path):
    "The notebooks in a folder, or the one at a path."
    return [p for p in notebooks() if p == path or path in p.parents]


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
    elif command == "run": run(map(Path, names))
    elif command == "test":
        chosen = [p for name in names for p in below(Path(name).resolve())] if names else notebooks()
        sys.exit(bool(test(chosen)) or not chosen)
    else: sys.exit(f"unknown command {command!r}; it must be 'store', 'readme' or 'test'")
