"""The project itself: exported modules are fresh, notebooks are clean and in order, README is in step."""
import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import house
import interlib as il
from house import MAY_IMPORT, imports_of, is_exported, module_name, notebooks as exported
from notebooks import ROOT, notebooks, readme

CELLS = {p: [(c["cell_type"], "".join(c["source"])) for c in json.loads(p.read_text())["cells"]] for p in notebooks()}
MODULE = {m.group(1): p for p, cells in CELLS.items() for _, s in cells if (m := re.match(r"#\| default_exp (\S+)", s))}
each = pytest.mark.parametrize("path", CELLS, ids=lambda p: p.stem)


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
    modules = {p.relative_to(ROOT / "interlib").with_suffix("") for p in (ROOT / "interlib").rglob("*.py")}
    assert {".".join(m.parts) for m in modules if m.name not in ("__init__", "_modidx")} == set(MODULE)


def test_each_chapter_lists_its_rooms_in_reading_order():
    for chapter in MAY_IMPORT:
        rooms = [module_name(p).split(".")[1] for p in exported(chapter)]
        assert importlib.import_module(f"interlib.{chapter}").ROOMS == rooms


@each
def test_directives_come_first(path):
    for kind, source in CELLS[path]:
        if kind != "code": continue
        body = [i for i, line in enumerate(source.splitlines()) if line.strip() and not line.startswith("#|")]
        late = [line for i, line in enumerate(source.splitlines()) if line.startswith("#|") and body and i > body[0]]
        assert not late


@pytest.mark.parametrize("path", exported(), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_rooms_import_from_earlier_rooms_and_from_the_chapters_of_their_row(path):
    chapter = path.parent.name
    for kind, source in CELLS[path]:
        if kind != "code" or not is_exported(source): continue
        for module, _ in imports_of(source):
            other = module.split(".")[0]
            assert other == chapter or other in MAY_IMPORT[chapter], f"{chapter} imports {module}"
            assert other != chapter or MODULE[module].stem < path.stem, f"{path.stem} imports the later {module}"


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


@pytest.mark.parametrize("path", exported(), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_room_reads_at_sight(path): assert list(house.faults(path)) == []


def test_ruff_finds_nothing():
    found = subprocess.run(["ruff", "check", "nbs", "interlib", "tools", "--output-format", "concise"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_no_two_things_have_one_name(): assert house.repeated_names() == {}


@pytest.mark.parametrize("name, text", house.PAGES.items(), ids=list(house.PAGES))
def test_made_pages_are_up_to_date(name, text): assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text()


def test_help_lists_every_parameter_of_a_public_function():
    for name in il.__all__:
        function = getattr(il, name)
        if not inspect.isfunction(function): continue
        told = re.findall(r"^\*{0,2}(\w+)(?: :.*)?\n    \S", inspect.getdoc(function), re.M)
        assert {*inspect.signature(function).parameters} <= {*told}, name


def test_the_public_face_is_small_and_hides_no_module():
    import interlib as il
    assert len(il.__all__) <= 80
    modules = [name for name in il.__all__ if isinstance(getattr(il, name), ModuleType)]
    assert all(getattr(il, name).__name__.endswith(f".{name}") for name in modules)
    for path in exported(): assert isinstance(importlib.import_module(f"interlib.{module_name(path)}"), ModuleType)
    assert not set(il.__all__) & set(MAY_IMPORT)


def test_import_is_quick():
    code = "import time; t = time.perf_counter(); import interlib; print(time.perf_counter() - t)"
    took = [float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout) for _ in range(3)]
    assert min(took) < .3, took


def test_a_broken_room_leaves_the_others_open():
    code = "import sys; sys.modules['interlib.app.sweeps'] = None; import interlib as il, torch; print(il.decompose(torch.ones(4)).n)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "2"


@each
def test_links_between_notebooks_exist(path):
    links = [m for kind, s in CELLS[path] if kind == "markdown" for m in re.findall(r"\]\((?!http|#)([^)#\s]+)", s)]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_papers_that_are_cited_are_in_the_references():
    known = (ROOT / "docs" / "references.md").read_text(encoding="utf-8")
    cited = {m for cells in CELLS.values() for _, s in cells for m in re.findall(r"([A-Z][a-zé]+ et al\.)[,'’s]* \(?((?:19|20)\d\d)", s)}
    assert cited and [c for c in cited if f"{c[0]} ({c[1]})" not in known] == []


def test_readme_is_made_from_the_index():
    text, images = readme()
    assert (ROOT / "README.md").read_text() == text
    assert images and all((ROOT / "nbs" / "images" / name).read_bytes() == png for name, png in images.items())


def test_links_of_the_readme_exist():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links and [link for link in links if not (ROOT / link).exists()] == []


def test_import_is_light():
    code = "import interlib, sys; sys.exit(str([m for m in ('transformers', 'matplotlib', 'captum', 'ipywidgets', 'sklearn', 'pandas', 'scipy', 'torch') if m in sys.modules] or ''))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr.strip() == ""


def test_a_notebook_that_fails_is_named(tmp_path, capfd):
    import nbformat
    from notebooks import test as run_notebooks
    paths = [tmp_path / "good.ipynb", tmp_path / "bad.ipynb"]
    for path, source in zip(paths, ("import interlib\nassert True", "#| export\nraise KeyError('gone')")):
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), path)
    failed = run_notebooks(paths, workers=2)
    assert [Path(name).name for name in failed] == ["bad.ipynb"]
    out, err = capfd.readouterr()
    assert "1 notebooks passed, 1 failed" in out and "gone" in err
