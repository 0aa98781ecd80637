"""What a run is, and the label that says so. Labels are made and read here alone.

    student, framework-as_released[-l1]            ours alone, and with the affinity module [with one change]
    framework-bilinear_teacher                     ... with a substitute for the teacher
    student-equal_budget, framework-equal_budget   ... at the budget of Table 5's other networks
    longest-student[-phase1], longest-framework[-phase1], onward-student[-phase1]    stages of the long runs
    trunk-student, trunk-student-decay             the run that later ones go on from, and a branch to a rate of 0
    photo-student                                  on haze as a camera sees it, from the longest run's end
    search-NAME                                    a run of the search for a recipe
    aod_net, aod_net-affinity, hazy-all_pairs      another network, with the module, scored on all test pairs
    fsrcnn_x2-native, fsrcnn_x2-upsampled          super-resolution
"""

import re
from dataclasses import dataclass
from typing import Self

FORMS = ("as_released", "as_described")  # of the affinity module: the authors' code, the paper's text
SUBSTITUTE_TEACHERS = ("bilinear", "untrained", "black")
LABELS = [re.compile(pattern) for pattern in (
    r"search-(?P<change>.+)",
    r"(?P<long>trunk)-(?P<ours>student)(-(?P<change>decay))?",
    r"(?P<long>photo)-(?P<ours>student)",
    r"(?P<long>longest|onward)-(?P<ours>student|framework)(-phase(?P<stage>\d+))?",
    r"(?P<ours>student|framework)-(?P<equal_budget>equal_budget)",
    rf"(?P<ours>framework)-(?P<teacher>{'|'.join(SUBSTITUTE_TEACHERS)})_teacher",
    rf"(?P<ours>framework)-(?P<form>{'|'.join(FORMS)})(-(?P<change>.+))?",
    r"(?P<network>\w+)-(?P<target>native|upsampled)",
    r"(?P<network>\w+?)(?P<affinity>-affinity)?(?P<all_pairs>-all_pairs)?",
)]


@dataclass(frozen=True)
class Variant:
    """What a run is, whatever its seed and budget are."""

    network: str = "student"
    form: str = ""  # of the affinity module: as_released, as_described; empty: without it
    change: str = ""  # what sets the run apart: adaptive, lr, w0.50, w0.75, l1, kl; in the search the name of a recipe;
    # decay, to a learning rate of 0
    teacher: str = ""  # what stands in for the trained teacher: bilinear, untrained, black
    equal_budget: bool = False  # ours at the budget of Table 5's other networks
    long: str = ""  # longest; onward: goes on alone from the end of the longest pair; trunk: so do others from
    # it; photo: on haze as a camera sees it
    stage: int = 0  # of a long run, from 1; 0: the last one
    searched: bool = False  # a run of the search
    all_pairs: bool = False  # a control that is scored on all test pairs
    target: str = ""  # super-resolution: native, upsampled

    @classmethod
    def of(cls, label: str) -> Self:
        """Returns what the runs of a label are. Raises ValueError if it is no label."""
        for pattern in LABELS:
            if match := pattern.fullmatch(label):
                return cls._from(match.groupdict(), searched=label.startswith("search-"))
        raise ValueError(f"{label!r} is no label of a run.")

    @classmethod
    def _from(cls, found: dict[str, str | None], searched: bool) -> Self:
        guided = found.get("ours") == "framework" or found.get("affinity")
        return cls(
            network=found.get("network") or "student",
            form=found.get("form") or ("as_released" if guided else ""),
            change=found.get("change") or "",
            teacher=found.get("teacher") or "",
            equal_budget=bool(found.get("equal_budget")),
            long=found.get("long") or "",
            stage=int(found.get("stage") or 0),
            searched=searched,
            all_pairs=bool(found.get("all_pairs")),
            target=found.get("target") or "",
        )

    @property
    def label(self) -> str:
        """Returns what tables and figures call the run."""
        ours = "framework" if self.guided else "student"
        if self.searched:
            return f"search-{self.change}"
        if self.long:
            return _joined(self.long, ours, self.change, f"phase{self.stage}" if self.stage else "")
        if self.equal_budget:
            return f"{ours}-equal_budget"
        if self.teacher:
            return f"framework-{self.teacher}_teacher"
        if self.network == "student":
            return _joined("framework", self.form, self.change) if self.guided else "student"
        affinity = "affinity" if self.guided else ""
        return _joined(self.network, affinity, self.target, "all_pairs" if self.all_pairs else "")

    @property
    def guided(self) -> bool:
        """Returns whether it is trained with the affinity module."""
        return bool(self.form)

    @property
    def central(self) -> bool:
        """Returns whether it is the student, alone or in a framework, at its own budget: what the study compares."""
        return self.network == "student" and not (self.equal_budget or self.long or self.searched)

    @property
    def adaptive(self) -> bool:
        """Returns whether the weight of the affinity loss adapts to the gradients."""
        return self.guided and (self.change == "adaptive" or bool(self.teacher) or self.network != "student")

    @property
    def scored(self) -> bool:
        """Returns whether it is for the test sets: not the search, nor a long run before its last stage."""
        return not (self.searched or self.stage)

    @property
    def on_all_pairs(self) -> bool:
        """Returns whether it is scored on all test pairs: the long runs and their controls."""
        return self.all_pairs or bool(self.long) and self.scored


def _joined(*parts: str) -> str:
    return "-".join(filter(None, parts))
