"""The project itself: exported modules are fresh, notebooks are clean and in order, README is in step."""
import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from notebooks import ROOT, notebooks, readme

CELLS = {p: [(c["cell_type"], "".join(c["source"])) for c in json.loads(p.read_text())["cells"]] for p in notebooks()}
MODULE = {m.group(1): p for p, cells in CELLS.items() for _, s in cells if (m := re.match(r"#\| default_exp (\S+)", s))}
each = pytest.mark.parametrize("path", CELLS, ids=lambda p: p.stem)


def rank(path):
    return int(path.stem[:2]) if path.stem[:2].isdigit() else 99


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for top in ("interlib", "nbs") for p in (folder / top).rglob("*") if p.suffix in (".py", ".ipynb")}


def test_cleaning_and_exporting_change_nothing(tmp_path):
    for name in ("nbs", "interlib", "settings.ini", "setup.py"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    before = files(tmp_path)
    for command in ("nbdev_clean", "nbdev_export"): subprocess.run([command], cwd=tmp_path, check=True)
    after = files(tmp_path)
    assert before.keys() == after.keys()
    assert [str(p) for p in before if before[p] != after[p]] == []


def test_every_module_has_one_notebook():
    claimed = [s.splitlines()[0] for cells in CELLS.values() for _, s in cells if s.startswith("#| default_exp")]
    assert len(claimed) == len(set(claimed))
    assert {p.stem for p in (ROOT / "interlib").glob("*.py")} - {"__init__", "_modidx"} == set(MODULE)


@each
def test_directives_come_first(path):
    for kind, source in CELLS[path]:
        if kind != "code": continue
        body = [i for i, line in enumerate(source.splitlines()) if line.strip() and not line.startswith("#|")]
        late = [line for i, line in enumerate(source.splitlines()) if line.startswith("#|") and body and i > body[0]]
        assert not late


@each
def test_exported_cells_parse_and_import_earlier_notebooks_of_their_side_only(path):
    for kind, source in CELLS[path]:
        if kind != "code" or not re.match(r"#\|\s*export", source): continue
        for node in ast.walk(ast.parse(source)):
            if not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("interlib.")): continue
            other = rank(MODULE[node.module.split(".")[1]])
            assert (other, MODULE[node.module.split(".")[1]].stem) < (rank(path), path.stem), f"{path.stem} imports {node.module}"
            if 10 <= rank(path) < 19: assert other >= 10 or other in (0, 1), f"the model side imports {node.module} of the math side"


@each
def test_outputs_are_stored_without_errors(path):
    cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    assert any(c["outputs"] for c in cells)
    assert not [o for c in cells for o in c["outputs"] if o["output_type"] == "error"]
    assert not re.findall(r"/(?:tmp|root|home|work|Users)/[^\"]{0,60}", json.dumps([c["outputs"] for c in cells])), "an output tells where it was made"
    assert path.stat().st_size < 600_000


@each
def test_figures_have_a_text_for_those_who_cannot_see_them(path):
    figures = [o for c in json.loads(path.read_text())["cells"] for o in c.get("outputs", []) if "image/png" in o.get("data", {})]
    texts = [o.get("metadata", {}).get("image/png", {}).get("alt", "") for o in figures]
    assert all(10 < len(t) <= 400 for t in texts), texts


def test_readme_is_made_from_the_index():
    text, images = readme()
    assert (ROOT / "README.md").read_text() == text
    assert images and all((ROOT / "nbs" / "images" / name).read_bytes() == png for name, png in images.items())


def test_links_of_the_readme_exist():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links and [link for link in links if not (ROOT / link).exists()] == []


def test_import_is_light():
    code = "import interlib, sys; sys.exit(str([m for m in ('transformers', 'matplotlib', 'captum', 'ipywidgets', 'sklearn', 'pandas', 'scipy') if m in sys.modules] or ''))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr.strip() == ""
