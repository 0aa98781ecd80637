"""The words of the pages: templates/*.md.j2 and the filters they use. Nothing else in this package writes sentences."""

import math
from pathlib import Path

import jinja2

from dehazelib.report.interval import Interval


def render(name: str, *known: dict, **more: object) -> str:
    """Returns the page that templates/<name>.md.j2 makes of these facts. A fact that is missing is an error."""
    merged = {}
    for one in (*known, more):
        merged |= one
    return ENVIRONMENT.get_template(f"{name}.md.j2").render(merged).strip("\n")


def percent(share: float) -> str:
    """Returns a share as "0.0022 %", to two digits."""
    return f"{100 * share:.2g} %"


def plural(count: int, noun: str) -> str:
    """Returns "1 seed", "5 seeds"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def listed(words: list, last: str = "and") -> str:
    """Returns "a, b and c"."""
    *first, end = [str(word) for word in words]
    return f"{', '.join(first)} {last} {end}" if first else end


def plain(fact: object) -> str:
    """Returns a fact of a verdict's evidence as text: numbers to four digits, lists and tables with commas."""
    if isinstance(fact, dict):
        return ", ".join(f"{name} {plain(value)}" for name, value in fact.items()) or "none"
    if isinstance(fact, (list, tuple)):
        return ", ".join(map(plain, fact)) or "none"
    if isinstance(fact, Interval):
        return fact.text("ssim")
    if isinstance(fact, str):
        return fact
    if float(fact).is_integer():
        return f"{fact:,.0f}"
    return "∞" if math.isinf(fact) else f"{fact:,.4g}"


ENVIRONMENT = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
                                 undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
ENVIRONMENT.filters |= {
    "db": lambda interval: interval.text("dB", signed=True), "score": lambda interval: interval.text("dB"),
    "percent": percent, "plural": plural, "listed": listed, "plain": plain,
    "signed": lambda value: f"{value:+.2f}", "number": lambda value, digits=0: f"{value:,.{digits}f}",
}
