"""Named, typed options with one-line errors: the base of settings and of specifications. Light: no torch."""

import contextlib
import difflib
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

FEW = 6  # words to choose from that are better all named
WANTED = {  # kind of a pydantic error -> what it asks for
    "int_type": "a whole number", "float_type": "a number", "bool_type": "true or false", "string_type": "text",
    "list_type": "a list", "dict_type": "a mapping of names to values", "finite_number": "a finite number",
}
LAX = {"int_type": TypeAdapter(int), "float_type": TypeAdapter(float), "bool_type": TypeAdapter(bool)}  # "1" is 1


class OptionError(ValueError):
    """What is wrong with an option, in one line. option: its name, if it is one of those that were given."""

    def __init__(self, message: str, option: str = ""):
        super().__init__(message)
        self.option = option

    def _render_traceback_(self) -> list[str]:
        """Returns what a notebook shows in place of a traceback."""
        return [f"Error: {self}"]


class Options(BaseModel):
    """A frozen set of options. Raises OptionError for a name, type or value that does not fit, with the nearest one
    that does."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    noun: ClassVar[str] = "option"

    def __init__(self, **values):
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors()[0]
            names = [str(name) for name in first["loc"][:1]]
            raise OptionError(self._explain(first), *names) from None

    def replace(self, **changes) -> Self:
        """Returns the options with changes, checked."""
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | changes)

    @classmethod
    def known(cls, where: tuple) -> Iterable[str]:
        """Returns the names that may stand at a place: () for the options themselves."""
        return cls.model_fields

    @classmethod
    def _explain(cls, error: dict) -> str:
        kind, where, given = error["type"], error["loc"], error["input"]
        name = _path(where)
        if kind == "extra_forbidden":
            known = cls.known(where[:-1])
            return f"Unknown {cls.noun} {name!r}: {nearest(where[-1], known)}"
        if kind == "literal_error":
            allowed = re.findall("'([^']*)'", error["ctx"]["expected"])
            wrong = where[-2] if where[-1] == "[key]" else given
            return f"{name} is {wrong!r}: {nearest(wrong, allowed)}"
        if kind in WANTED:
            return f"{name} must be {WANTED[kind]}, {_instead(given, kind)}"
        if kind == "value_error":
            return str(error["ctx"]["error"])
        return f"{name} is {given!r}: {error['msg'].replace('Input should be', 'it must be')}."


def nearest(given: Any, known: Iterable[str]) -> str:
    """Returns which of the known words was probably meant, or all of them if they are few or none is near, as the end
    of an error's line."""
    known = list(filter(None, known))
    near = difflib.get_close_matches(str(given), known, 1)
    if near and len(known) > FEW:
        return f"did you mean {near[0]}?"
    return f"use one of {', '.join(known)}."


def read_yaml(text: str, where: str) -> Any:
    """Returns a YAML text as plain values. Raises ValueError in one line, beginning with `where`."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise OptionError(f"{where} is not YAML: {' '.join(str(error).split())}") from None


def one_line(value: Any) -> str:
    """Returns a plain value as one line of YAML, which reads back as itself: 1.0e-05, where Python writes 1e-05."""
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf).removesuffix("...\n").strip()


def read_mapping(file: Path) -> dict[str, Any]:
    """Returns the options in a YAML file. Raises ValueError in one line that names the file."""
    values = read_yaml(file.read_text(encoding="utf-8"), str(file)) or {}
    if not isinstance(values, dict):
        raise OptionError(f"{file} must hold lines of the form NAME: VALUE.")
    return values


def _path(where: tuple) -> str:
    """Returns a place as it is written in Python: longest[0].lr."""
    parts = where[:-2] if where[-1:] == ("[key]",) else where
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")


def _instead(given: Any, kind: str) -> str:
    """Returns the end of an error's line: how to write a value that means what is asked for, or the value itself."""
    meant = ""
    if kind == "list_type" and isinstance(given, str) and given.isprintable():  # on one line
        meant = f"[{given}]"
    if kind == "string_type" and isinstance(given, (int, float)):
        meant = f"'{given}', with quotes"
    if kind in LAX:
        with contextlib.suppress(ValidationError):
            meant = one_line(LAX[kind].validate_python(given))
    if not meant:
        return f"not {given!r}."
    what = "and this is text" if isinstance(given, str) else f"not {given!r}"
    return f"{what}: write {meant}."
