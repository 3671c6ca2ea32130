"""Measures the house: how long, how clear and how well checked the notebooks and their modules are.

    python tools/house.py            every measure, and every place that breaks a rule
    python tools/house.py draw       one chapter
    python tools/house.py --write    docs/measures.md and docs/rooms.md
"""
import ast
import builtins
import json
import re
import sys
from collections import Counter
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "interlib"
LINE, BODY, MODULE, STREAK, RUN, CHECK = 120, 900, 450, 2, .9, .75

# The plan of the house: a chapter may import from the chapters in its row, and from earlier rooms of its own.
MAY_IMPORT = {
    "core": (),
    "draw": ("core",),
    "solve": ("core",),
    "measure": ("core", "draw", "solve"),
    "nets": ("core",),
    "model": ("core", "nets", "draw"),
    "app": ("core", "draw", "solve", "measure", "nets", "model"),
}
# End like participles, and are none: verbs, and the planted game of the literature.
VERBS = {"planted", "embed", "feed", "need", "seed", "shed", "spread", "exceed", "proceed"}


def notebooks(chapter=None):
    "The exported notebooks of a chapter, or of all chapters, in reading order."
    return [p for c in ([chapter] if chapter else MAY_IMPORT) for p in sorted((ROOT / "nbs" / c).glob("*.ipynb"))]


def cells(path):
    return [(c["cell_type"], "".join(c["source"])) for c in json.loads(path.read_text(encoding="utf-8"))["cells"]]


def is_exported(source):
    return bool(re.match(r"#\|\s*exports?\b", source))


def module_name(path):
    "`core.coalitions` of `nbs/core/00_coalitions.ipynb`, as the notebook itself says."
    return next(m[1] for kind, s in cells(path) if kind == "code" and (m := re.match(r"#\|\s*default_exp (\S+)", s)))


def module_file(path):
    return PACKAGE / (module_name(path).replace(".", "/") + ".py")


def definitions(tree):
    "Functions and classes of a module or cell, methods too."
    return [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))]


def functions(tree):
    return [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]


def body_of(node, source):
    "The text of a function without signature and docstring."
    inside = node.body
    if isinstance(inside[0], ast.Expr) and isinstance(getattr(inside[0], "value", None), ast.Constant):
        inside = inside[1:]
    if not inside: return ""
    lines = source.splitlines()
    first, last = inside[0], inside[-1]
    if first.lineno == last.end_lineno: return lines[first.lineno - 1][first.col_offset:]
    return "\n".join([lines[first.lineno - 1][first.col_offset:], *lines[first.lineno:last.end_lineno]])


def is_patch(node):
    return any("patch" in ast.unparse(d) for d in getattr(node, "decorator_list", []))


def top_names(tree):
    "Names that a module defines for others: functions, classes and constants."
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not is_patch(node): yield node.name
        elif isinstance(node, ast.Assign):
            targets = [n for t in node.targets for n in ast.walk(t)]
            yield from (n.id for n in targets if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and n.id not in ("__all__", "_all_"))


def followers(path):
    "For each exported cell that defines something: was it run, and was it checked, before the next one? And the longest streak without a run."
    runs, checks, names, streak, longest = [], [], [], 0, 0
    for kind, source in cells(path):
        if kind != "code" or source.startswith("#| default_exp"): continue
        if is_exported(source):
            tree = ast.parse(source)
            if not any(isinstance(n, (ast.FunctionDef, ast.ClassDef)) for n in tree.body): continue
            if runs and not runs[-1]: streak += 1
            else: streak = 1
            longest = max(longest, streak)
            runs.append(False)
            checks.append(False)
            names.append(next(n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))))
        elif runs and not source.startswith("#| hide\nfrom nbdev"):
            runs[-1] = True
            checks[-1] |= bool(re.search(r"\bassert\b|\btest_\w+\(|\bnear\(|\bclose\(|allclose\(|\braises\(", source))
    return names, runs, checks, longest


def imports_of(source):
    "Modules of the package that a source imports from, with the names: `(chapter.room, names)`."
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("interlib."):
            module, names = node.module.removeprefix("interlib."), [a.name for a in node.names]
            if module in MAY_IMPORT: yield from ((f"{module}.{name}", []) for name in names)
            else: yield module, names
        elif isinstance(node, ast.Import):
            yield from ((a.name.removeprefix("interlib."), []) for a in node.names if a.name.startswith("interlib."))


def faults(path):
    "Every place of a notebook that breaks a rule, as text."
    file, source = module_file(path), module_file(path).read_text(encoding="utf-8")
    tree, chapter = ast.parse(source), path.parent.name
    if len(source.splitlines()) > MODULE: yield f"{file.name}: {len(source.splitlines())} lines, at most {MODULE}"
    for kind, s in cells(path):
        if kind == "code":
            for line in s.splitlines():
                if len(line) > LINE: yield f"a line of {len(line)} characters: {line.strip()[:70]}"
    for f in functions(tree):
        if len(body := body_of(f, source)) > BODY: yield f"{f.name}: a body of {len(body)} characters, at most {BODY}"
        if not f.name.startswith("__"):
            if hasattr(builtins, f.name) : yield f"{f.name}: named like a builtin"
            if re.fullmatch(r"_?[a-z]+ed", f.name) and f.name.strip("_") not in VERBS: yield f"{f.name}: a participle, a function is a verb or a noun"
    for kind, s in cells(path):
        if kind == "code" and is_exported(s):
            for module, names in imports_of(s):
                other = module.split(".")[0]
                if other != chapter and other not in MAY_IMPORT[chapter]: yield f"{chapter} imports {module}"
                for n in names:
                    if n.startswith("_"): yield f"imports the private name {n} of {module}"
        if kind == "markdown" and (m := re.search(r"\bnotebooks? (?:`?\d\d)|`\d\d_\w+`", s)): yield f"cites a notebook by its number: {m[0]}"
        if m := re.search(r"\b[Pp]apers? 00\d", s): yield f"cites a paper by the number of a file: {m[0]}"
    names, runs, checks, longest = followers(path)
    if longest > STREAK: yield f"{longest} exported cells in a row without a run"
    if runs and sum(runs) < RUN * len(runs): yield f"{sum(runs)} of {len(runs)} exported cells are run; not: {', '.join(n for n, r in zip(names, runs) if not r)}"
    if checks and sum(checks) < CHECK * len(checks): yield f"{sum(checks)} of {len(checks)} exported cells are checked; not: {', '.join(n for n, c in zip(names, checks) if not c)}"


def repeated_names():
    "Names that two modules define: `name -> modules`."
    homes = {}
    for path in notebooks():
        for name in set(top_names(ast.parse(module_file(path).read_text(encoding="utf-8")))): homes.setdefault(name, []).append(module_name(path))
    return {n: h for n, h in homes.items() if len(h) > 1 and n != "_"}


def measures(chapter=None):
    "The numbers of the house, by name."
    paths = notebooks(chapter)
    sources = [module_file(p).read_text(encoding="utf-8") for p in paths]
    bodies = [body_of(f, s) for s in sources for f in functions(ast.parse(s))]
    lines = [line for s in sources for line in s.splitlines()]
    public = [f for s in sources for f in ast.parse(s).body if isinstance(f, ast.FunctionDef) and not f.name.startswith("_")]
    follow = [followers(p) for p in paths]
    runs, checks = ([x for f in follow for x in f[i]] for i in (1, 2))
    quantile = lambda x, q: sorted(x)[min(len(x) - 1, int(q * len(x)))]
    body_lines = [b.count("\n") + 1 for b in bodies]
    arguments = [a for f in public for a in [*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs]]
    return {
        "modules; median / max lines": f"{len(paths)}; {median(s.count(chr(10)) for s in sources):.0f} / {max(s.count(chr(10)) for s in sources):,}",
        "functions: body lines median / p90 / max": f"{median(body_lines):.0f} / {quantile(body_lines, .9)} / {max(body_lines)}",
        "body characters median / p90 / max": f"{median(map(len, bodies)):.0f} / {quantile([len(b) for b in bodies], .9):,} / {max(map(len, bodies)):,}",
        "lines over 120 / 200 characters": f"{100 * sum(len(x) > 120 for x in lines) / len(lines):.1f} / {100 * sum(len(x) > 200 for x in lines) / len(lines):.1f} %",
        "public functions with docstring": f"{100 * sum(ast.get_docstring(f) is not None for f in public) / len(public):.0f} %",
        "arguments annotated": f"{100 * sum(a.annotation is not None for a in arguments) / max(1, len(arguments)):.0f} %",
        "exported definition followed by a run / a check": f"{100 * sum(runs) / len(runs):.0f} / {100 * sum(checks) / len(checks):.0f} %",
        "longest streak of exported cells": f"{max(f[3] for f in follow)}",
        "cells a notebook, median / max": f"{median(len(cells(p)) for p in paths):.0f} / {max(len(cells(p)) for p in paths)}",
    }


ANCHORS = """\
| | interlib 0.1 | interlib | miniai | fastcore | shapiq | diffrax | TransformerLens |
|---|---|---|---|---|---|---|---|
| modules; median / max lines | 33; 232 / 895 | {} | 16; 79 / 239 | 25; 182 / 1,259 | 189; 140 / 2,829 | 63; 141 / 1,544 | 300; 129 / 4,202 |
| functions: body lines median / p90 / max | 4 / 12 / 42 | {} | 2 / 8 / 25 | 2 / 8 / 51 | 10 / 37 / 303 | 4 / 31 / 699 | 9 / 63 / 1,405 |
| body characters median / p90 / max | 276 / 892 / 4,613 | {} | 88 / 283 / 843 | 85 / 304 / 1,393 | 228 / 1,171 / 9,135 | 124 / 887 / 20,545 | 291 / 2,067 / 38,548 |
| lines over 120 / 200 characters | 13.1 / 1.2 % | {} | 0.5 / 0 | 0.7 / 0 | 0.5 / 0.1 | 0.1 / 0 | 0.4 / 0.1 |
| public functions with docstring | 88 % | {} | 3 % | 71 % | 95 % | 17 % | 77 % |
| arguments annotated | 45 % | {} | 4 % | 6 % | 100 % | 63 % | 88 % |
| exported definition followed by a run / a check | 80 / 69 % | {} | 67 / 1 % | 69 / 51 % | - | - | - |
| longest streak of exported cells | 8 | {} | - | - | - | - | - |
| cells a notebook, median / max | 60 / 167 | {} | 56 / 175 | 54 / 511 | - | - | - |
| names in the top namespace | 151 | {} | 0 | 1 | 53 | 111 | 25 |
"""


def page():
    "docs/measures.md as text."
    public = ast.literal_eval((PACKAGE / "__init__.pyi").read_text(encoding="utf-8").split("__all__ = ")[1])
    head = ("# How the code measures\n\nMade by `make measures` (`tools/house.py`), which also tests the limits: lines of at most "
            f"{LINE} characters, bodies of at most {BODY}, modules of at most {MODULE} lines, at most {STREAK} exported cells in a row "
            f"without a run, {RUN:.0%} of them run and {CHECK:.0%} checked, one name for one thing, imports by the table of chapters. "
            "Lines over 120 characters that remain are import lines that exporting joins.\n\n")
    return head + ANCHORS.format(*measures().values(), len(public))


def summary(path):
    "What a room is for: the line under its heading."
    return next(m[1] for kind, s in cells(path) if kind == "markdown" and (m := re.search(r"^> (.+)", s, re.M)))


def rooms_page():
    "docs/rooms.md as text."
    lines = ["# Rooms", "", "What each notebook, and the module of the same name, is for. Within a chapter in reading order."]
    for chapter in MAY_IMPORT:
        lines += ["", f"## {chapter}", ""]
        for path in notebooks(chapter):
            name = module_name(path).split(".")[1]
            lines.append(f"- [{name}](../nbs/{chapter}/{path.name}): {summary(path)}")
    return "\n".join(lines) + "\n"


PAGES = {"measures.md": page, "rooms.md": rooms_page}


if __name__ == "__main__":
    if "--write" in sys.argv:
        for name, text in PAGES.items(): (ROOT / "docs" / name).write_text(text(), encoding="utf-8")
    chapters = [a for a in sys.argv[1:] if not a.startswith("-")] or [None]
    for chapter in chapters:
        for name, value in measures(chapter).items(): print(f"{name:50} {value}")
        total = Counter()
        for path in notebooks(chapter):
            for fault in faults(path):
                print(f"{path.relative_to(ROOT / 'nbs')}: {fault}")
                total[path.stem] += 1
        for name, homes in repeated_names().items():
            if chapter is None or any(h.startswith(chapter + ".") for h in homes): print(f"{name}: defined in {', '.join(homes)}")
        print(f"{sum(total.values())} faults")
