"""The READMEs' table of figures, made from benchmarks/results/.

python benchmarks/figures.py            rewrite the tables in README.md and README.zh-CN.md
python benchmarks/figures.py --check    exit 1 where they are not what the results give
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from neocog.reproduce import PUBLISHED
from neocog.terminal.tables import duration, figure

ROOT = Path(__file__).resolve().parents[1]
HEADS = {
    "README.md": (
        "recipe", "network, data", "printed", "measured ± std (seeds)", "95% interval",
        "chosen honestly (seeds)", "one run", "verdict",
    ),
    "README.zh-CN.md": (
        "配方", "网络与数据", "原文数字", "实测 ± 标准差（种子数）", "95% 区间",
        "诚实选择（种子数）", "单次耗时", "结论",
    ),
}  # fmt: skip
PUBLISHED_MARK = {"README.md": ", as published", "README.zh-CN.md": "，按原文"}
NONE = {"README.md": "none", "README.zh-CN.md": "无"}
BEGIN, END = "<!-- figures: python benchmarks/figures.py -->\n", "<!-- end of figures -->\n"


def printed(row: dict[str, Any]) -> str:
    """The figures that the source printed: test, and train where it printed that too."""
    if not row["printed"]:
        return ""
    trained = ""
    if row["printed_train"]:
        trained = f" (train {100 * row['printed_train']:.5g}%, here {100 * row['train_mean']:.5g}%)"
    return f"{100 * row['printed']:.5g}%{trained}"


def rows() -> list[dict[str, Any]]:
    files = {path.stem: path for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    order = [n for n in PUBLISHED if n in files] + sorted(set(files) - set(PUBLISHED))
    return [json.loads(files[name].read_text("utf-8")) for name in order]


def table(page: str) -> str:
    heads = HEADS[page]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows():
        low, high = row["interval"]
        cells = (
            f"`{row['recipe']}`",
            f"{row['model']}, {row['data']}",
            printed(row) or NONE[page],
            figure(row) + (PUBLISHED_MARK[page] if row["as_published"] else ""),
            f"{100 * low:.2f} - {100 * high:.2f}",
            figure(row["honest"]) if row["honest"] else "",
            duration(row["time_seconds"]) + f" ({min(run['threads'] for run in row['runs'])})",
            row["verdict"] or "",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def with_table(page: str, text: str) -> str:
    found = re.search(f"{re.escape(BEGIN)}.*{re.escape(END)}", text, re.DOTALL)
    if not found:
        raise SystemExit(f"{page} has no place for the table: {BEGIN.strip()} ... {END.strip()}")
    return text[: found.start()] + BEGIN + table(page) + END + text[found.end() :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    for page in HEADS:
        path = ROOT / page
        text = path.read_text("utf-8")
        new = with_table(page, text)
        if check and new != text:
            sys.exit(f"{page} is not what the results give: python benchmarks/figures.py")
        path.write_text(new, "utf-8")


if __name__ == "__main__":
    main()
