"""The generated regions of the documents: figures, networks, papers, recipes.

python docs/generate.py            rewrite them
python docs/generate.py --check    exit 1 if one is out of date

A region stands between `<!-- generated: NAME ...; python docs/generate.py -->` and `<!-- end -->`
in a README or in a page below `docs/`. NAME is a key of `REGIONS`; recipes named after `figures`
are its rows.
"""

import argparse
import ast
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from neocog.models import MODELS, summary
from neocog.recipes import RECIPES
from neocog.rendering.numbers import format_count, format_duration
from neocog.reproduce import PUBLISHED
from neocog.terminal.tables import figure

ROOT = Path(__file__).resolve().parents[1]
REGION = re.compile(r"(<!-- generated: ([\w -]+);[^>]*-->\n)(.*?)(<!-- end -->)", re.DOTALL)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(cells) + " |" for cells in rows]
    return "\n".join(lines) + "\n"


def results() -> dict[str, dict[str, Any]]:
    """The measured figures by recipe: published recipes first, in their order."""
    files = {path.stem: path for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    order = [n for n in PUBLISHED if n in files] + sorted(set(files) - set(PUBLISHED))
    return {name: json.loads(files[name].read_text("utf-8")) for name in order}


def printed(row: dict[str, Any], zh: bool) -> str:
    """The figures of the source: test accuracy, and training accuracy if it gives one."""
    if not row["printed"]:
        return "无" if zh else "none"
    text = f"{100 * row['printed']:.5g}%"
    if row["printed_train"]:
        train, here = (f"{100 * row[k]:.5g}%" for k in ("printed_train", "train_mean"))
        text += f"（训练集 {train}，实测 {here}）" if zh else f" (train {train}, here {here})"
    return text


def measured_figure(row: dict[str, Any]) -> str:
    return figure(row["mean"], row["std"], row["n"])


def figures(zh: bool, *names: str) -> str:
    """Printed against measured accuracy: all of `benchmarks/results/`, or some rows, shorter."""
    heads = (
        ("配方", "网络与数据集", "原文报告值", "实测 ± 标准差（种子数）", "用验证集选择（种子数）",
         "95% 置信区间", "单次训练时间（线程数）", "结论")
        if zh else
        ("recipe", "network, data", "printed", "measured ± std (seeds)",
         "selected on validation (seeds)", "95% interval", "one run (threads)", "verdict")
    )  # fmt: skip
    as_published = "，按原文" if zh else ", as published"
    measured = results()
    rows = [
        (
            f"`{name}`",
            f"{row['model']}, {row['data']}",
            printed(row, zh),
            measured_figure(row) + (as_published if row["as_published"] and not names else ""),
            measured_figure(row["honest"]) if row["honest"] else "",
            "{:.2f} - {:.2f}".format(*(100 * bound for bound in row["interval"])),
            format_duration(row["time_seconds"], decimals=0)
            + f" ({min(run['threads'] for run in row['runs'])})",
            row["verdict"] or "",
        )
        for name, row in ((name, measured[name]) for name in names or measured)
    ]
    columns = 5 if names and any(row[4] for row in rows) else 4 if names else len(heads)
    return table(heads[:columns], [row[:columns] for row in rows])


def networks(zh: bool) -> str:
    """Every network with its input, parameters, FLOPs and paper."""
    heads = (
        ("网络", "年份", "输入", "参数量", "FLOPs", "论文")
        if zh
        else ("network", "year", "input", "parameters", "FLOPs", "paper")
    )
    rows = (
        (
            f"`{network.name}`",
            str(network.year),
            network.input_text,
            f"{network.parameters:,}",
            format_count(network.flops),
            network.paper,
        )
        for network in summary.summarize_all()
    )
    return table(heads, rows)


def papers(zh: bool) -> str:
    """Paper and deviations of every network, from the docstring of its file."""
    files: dict[str, list[str]] = {}
    for name, network in MODELS.items():
        files.setdefault(network.location.partition(":")[0], []).append(name)
    heads = ("网络", "论文", "与论文的差别") if zh else ("network", "paper", "deviations")
    rows = []
    for file, names in files.items():
        path = ROOT / "src" / "neocog" / "models" / f"{file}.py"
        text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        source = _paragraph(text, r"Papers?|Source")
        rows.append((" ".join(f"`{n}`" for n in names), source, _paragraph(text, "Deviations")))
    return table(heads, rows)


def _paragraph(docstring: str, heading: str) -> str:
    """What follows `heading:`, up to the next heading or the end, in one line."""
    headings = r"Papers?|Source|Deviations[^:\n]*"
    pattern = rf"^(?:{heading})([^:\n]*): (.*?)(?=^(?:{headings}): |\n\n|\Z)"
    found = re.search(pattern, docstring, re.DOTALL | re.MULTILINE)
    if not found:
        raise SystemExit(f"A network's docstring has no line '{heading}:': {docstring[:60]}")
    where = found[1].removeprefix(",").strip()  # "Deviations, both networks: ..."
    text = " ".join(f"{where}: {found[2]}".removeprefix(": ").split()).replace("|", "\\|")
    return text[:1].upper() + text[1:]


def recipes(zh: bool) -> str:
    """Every recipe: what it trains, for how long, and the accuracy of its source and here."""
    heads = (
        ("配方", "网络", "数据集", "轮数", "原文报告值", "实测", "来源")
        if zh
        else ("recipe", "network", "data", "epochs", "printed", "measured", "source")
    )
    measured = results()
    rows = (
        (
            f"`{name}`",
            f"`{recipe.model}`",
            recipe.data,
            "" if recipe.feature_views and not recipe.fine_tune else str(recipe.epochs),
            f"{100 * recipe.printed_test_accuracy:.5g}%" if recipe.printed_test_accuracy else "",
            measured_figure(measured[name]) if name in measured else "",
            recipe.source.replace("|", "\\|"),
        )
        for name, recipe in RECIPES.items()
    )
    return table(heads, rows)


def published(_: bool) -> str:
    """The recipes that `neocog reproduce` runs when none is named."""
    return " ".join(f"`{name}`" for name in PUBLISHED) + "\n"


def exporters(zh: bool) -> str:
    """Both ONNX exporters of torch on every network: seconds, differences, megabytes."""
    del zh  # of an English page
    path = ROOT / "benchmarks" / "results" / "export" / "exporters.json"
    measured = json.loads(path.read_text("utf-8"))
    heads = ["network"]
    for exporter in ("TorchScript", "dynamo"):
        heads += [f"{exporter}, seconds", "difference", "MB"]
    rows = []
    for name in filter(measured["networks"].__contains__, MODELS):
        row = [f"`{name}`"]
        for exporter in ("torchscript", "dynamo"):
            figures = measured["networks"][name][exporter]
            row += [
                f"{figures['time_seconds']:.2f}",
                f"{figures['difference']:.1e}",
                f"{figures['megabytes']:.1f}",
            ]
        rows.append(row)
    versions = f"torch {measured['torch']}, ONNX Runtime {measured['onnxruntime']}"
    return table(heads, rows) + f"\n{versions}, {measured['machine']}.\n"


REGIONS: dict[str, Callable[..., str]] = {
    "figures": figures,
    "networks": networks,
    "papers": papers,
    "recipes": recipes,
    "published": published,
    "exporters": exporters,
}


def regenerated(page: Path) -> str:
    """The text of a page with its generated regions made anew; Chinese if its name says so."""
    zh = {".zh", ".zh-CN"} & set(page.suffixes)

    def write(region: re.Match[str]) -> str:
        name, *arguments = region[2].split()
        if name not in REGIONS:
            raise SystemExit(f"{page}: there is no region {name}, only {', '.join(REGIONS)}")
        return region[1] + REGIONS[name](bool(zh), *arguments) + region[4]

    return REGION.sub(write, page.read_text("utf-8"))


def pages() -> list[Path]:
    return [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def main() -> None:
    """Rewrite the regions, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    old = []
    for page in pages():
        text = regenerated(page)
        if text != page.read_text("utf-8"):
            old.append(str(page.relative_to(ROOT)))
            if not check:
                page.write_text(text, "utf-8")
    if check and old:
        sys.exit(f"Out of date: {', '.join(old)}. Type: python docs/generate.py")


if __name__ == "__main__":
    main()
