"""Cohort definitions of OHDSI ATLAS (Circe expressions, JSON) as the ``[cohort]`` of a study.

What maps: a first drug, condition or procedure as the entry event, prior days of observation, and rules that
somebody must have, or must not have, such a record within days of it. Everything else is refused by the
name that ATLAS gives it, and nothing is left out. Codes come from the concept sets; descendants need the
vocabulary, except where the codes themselves are a hierarchy, as ICD and ATC codes are, and a wildcard says
the same.

One difference stays, and is printed: ATLAS looks for records within one period of observation, a site in all
that it has.

OHDSI circe-be 1.11, ``CohortExpression`` and ``CriteriaGroup``, https://github.com/OHDSI/circe-be .
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from fedvalue.errors import StudyInvalid
from fedvalue.study.cohort import Cohort
from fedvalue.study.model import MAX_DAYS
from fedvalue.study.toml import problems

KINDS = {"DrugExposure": "drug", "ConditionOccurrence": "condition", "ProcedureOccurrence": "procedure"}
"""Criteria of Circe that have a table here."""
NESTED = ("ICD10", "ICD10CM", "ICD10CN", "ICD9CM", "ICD9Proc", "ATC")
"""Vocabularies in which a code begins with the codes above it."""
Descendants = Callable[[int], Sequence[str]]
NOTE = "ATLAS looks for records within one period of observation; a site looks in all that it has."


def cohort_of(text: str, descendants: Descendants | None = None) -> Cohort:
    """Return the cohort that a Circe expression defines.

    Args:
      text: The JSON that ATLAS exports.
      descendants: Concept id to the codes of the concepts below it, from the vocabulary; None without one.

    Raises:
      StudyInvalid: this is no such expression, or it holds something that has no counterpart; named.
    """
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as failure:
        raise StudyInvalid(
            "this is no JSON", do="export the cohort definition from ATLAS as JSON"
        ) from failure
    if not isinstance(read, dict) or "PrimaryCriteria" not in read:
        raise StudyInvalid("this is no cohort definition", do="export it from ATLAS as JSON")
    _only(read, "the definition", {
        "ConceptSets", "PrimaryCriteria", "AdditionalCriteria", "InclusionRules", "QualifiedLimit",
        "ExpressionLimit", "cdmVersionRange", "CollapseSettings", "Title", "CensorWindow",
    })  # fmt: skip
    if _given(read.get("CensorWindow")):
        raise _unmapped("CensorWindow")
    sets = {one["id"]: _codes(one, descendants) for one in read.get("ConceptSets") or []}
    primary = read["PrimaryCriteria"]
    _only(primary, "PrimaryCriteria", {"CriteriaList", "ObservationWindow", "PrimaryCriteriaLimit"})
    if (primary.get("PrimaryCriteriaLimit") or {}).get("Type", "All") != "First":
        raise _unmapped("PrimaryCriteriaLimit", "only the first entry event of a person maps")
    entry = primary.get("CriteriaList") or []
    if len(entry) != 1:
        raise _unmapped("PrimaryCriteria", "one entry event maps, not several")
    kind, codes = _criterion(entry[0], sets, first=True)
    window = primary.get("ObservationWindow") or {}
    if window.get("PostDays"):
        raise _unmapped("PostDays", "who will still be observed is not known on day zero")
    rules = [rule.get("expression") or {} for rule in read.get("InclusionRules") or []]
    rules += [read["AdditionalCriteria"]] if _given(read.get("AdditionalCriteria")) else []
    made: dict[str, Any] = {"index": {"first": kind, "codes": codes}, "require": [], "exclude": []}
    if prior := window.get("PriorDays"):
        if not next(iter(entry[0].values())).get("First"):
            raise _unmapped("PriorDays", "without First, a later event than the first could be the entry")
        made["observable"] = f"{int(prior)} days"
    for word, criterion in (found for rule in rules for found in _rule(rule, sets)):
        made[word].append(criterion)
    try:
        return Cohort.model_validate(made)
    except ValidationError as failure:
        raise StudyInvalid(problems(failure), where="the cohort definition") from failure


def to_toml(cohort: Cohort) -> str:
    """Return a cohort as it stands in a study file."""

    def listed(codes: Sequence[str]) -> str:
        return f"[{', '.join(json.dumps(code) for code in codes)}]"

    lines = [
        "[cohort]",
        f'index = {{ first = "{cohort.index.first}", codes = {listed(cohort.index.codes)} }}',
    ]
    if cohort.observable is not None:
        lines.append(f'observable = "{cohort.observable}"')
    for word, criteria in (("require", cohort.require), ("exclude", cohort.exclude)):
        if criteria:
            lines.append(f"{word} = [")
            lines += [
                f'  {{ {one.kind} = {listed(one.codes)}, within = "{one.within}" }},' for one in criteria
            ]
            lines.append("]")
    return "\n".join([*lines, f"# {NOTE}", ""])


def _unmapped(name: str, why: str = "it has no counterpart in a study") -> StudyInvalid:
    return StudyInvalid(
        f"{name} does not map: {why}",
        where="the cohort definition",
        do="take it out in ATLAS, or write [cohort]",
    )


def _given(value: object) -> bool:
    return value not in (None, {}, [], False, "")


def _only(part: Mapping[str, Any], where: str, known: set[str]) -> None:
    for name, value in part.items():
        if name not in known and _given(value):
            raise _unmapped(f"{name} of {where}")


def _codes(concept_set: Mapping[str, Any], descendants: Descendants | None) -> list[str]:
    """Return the codes of a concept set, those that it excludes taken out."""
    found: dict[str, bool] = {}
    name = str(concept_set.get("name", concept_set.get("id")))
    items = (concept_set.get("expression") or {}).get("items") or []
    for item in sorted(items, key=lambda one: bool(one.get("isExcluded"))):
        if item.get("includeMapped"):
            raise _unmapped("includeMapped", f"concept set {name!r} takes codes of other vocabularies")
        concept = item.get("concept") or {}
        code, vocabulary = str(concept.get("CONCEPT_CODE", "")), str(concept.get("VOCABULARY_ID", ""))
        if not code:
            raise _unmapped("a concept without CONCEPT_CODE", f"in concept set {name!r}")
        codes = [code]
        if item.get("includeDescendants"):
            if descendants is not None:
                codes += descendants(int(concept["CONCEPT_ID"]))
            elif vocabulary in NESTED:
                codes = [f"{code}*"]
            else:
                raise _unmapped(
                    "includeDescendants",
                    f"{vocabulary} {code} in {name!r} needs the vocabulary: --vocabulary",
                )
        for one in codes:
            if item.get("isExcluded"):
                _take_out(found, one, name)
            else:
                found[one] = True
    if not found:
        raise _unmapped(f"concept set {name!r}", "it holds no code")
    return list(found)


def _take_out(found: dict[str, bool], code: str, name: str) -> None:
    for other in list(found):
        if code == other or (code.endswith("*") and other.startswith(code[:-1])):
            del found[other]
        elif other.endswith("*") and code.startswith(other[:-1]):
            raise _unmapped(
                "isExcluded", f"{code} lies within {other} of {name!r}: a wildcard has no exceptions"
            )


def _criterion(
    criterion: Mapping[str, Any], sets: Mapping[int, list[str]], *, first: bool = False
) -> tuple[str, list[str]]:
    """Return the table and codes of one criterion."""
    if not criterion:
        raise _unmapped("an empty criterion")
    name, attributes = next(iter(criterion.items()))
    if name not in KINDS or len(criterion) != 1:
        raise _unmapped(name)
    _only(attributes, name, {"CodesetId"} | ({"First"} if first else set()))
    codes = sets.get(attributes.get("CodesetId", -1))
    if codes is None:
        raise _unmapped(f"{name} without a concept set", "any record of a table is no event")
    return KINDS[name], codes


def _rule(rule: Mapping[str, Any], sets: Mapping[int, list[str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ``require`` or ``exclude`` with each criterion of a group in which all must hold."""
    _only(rule, "a rule", {"Type", "CriteriaList", "Groups"})
    listed = rule.get("CriteriaList") or []
    groups = rule.get("Groups") or []
    if rule.get("Type", "ALL") != "ALL" and len(listed) + len(groups) > 1:
        raise _unmapped(f"a rule of type {rule.get('Type')}", "only rules in which all must hold map")
    for one in listed:
        _only(one, "a criterion", {"Criteria", "StartWindow", "Occurrence", "IgnoreObservationPeriod"})
        kind, codes = _criterion(one.get("Criteria") or {}, sets)
        window = f"{_edge(one, 'Start')}d..{_edge(one, 'End')}d"
        yield _word(one.get("Occurrence") or {}), {kind: codes, "within": window}
    for group in groups:
        yield from _rule(group, sets)


def _edge(one: Mapping[str, Any], side: str) -> int:
    window = one.get("StartWindow") or {}
    if window.get("UseIndexEnd") or window.get("UseEventEnd"):
        raise _unmapped("UseIndexEnd or UseEventEnd", "days are counted from the beginning of a record")
    edge = window.get(side) or {}
    days, sign = edge.get("Days"), int(edge.get("Coeff", 1 if side == "End" else -1))
    return sign * (MAX_DAYS if days is None else int(days))


def _word(occurrence: Mapping[str, Any]) -> str:
    how, many = occurrence.get("Type", 2), occurrence.get("Count", 1)
    if occurrence.get("IsDistinct"):
        raise _unmapped("IsDistinct")
    if (how, many) == (2, 1):
        return "require"
    if how in (0, 1) and many == 0:
        return "exclude"
    raise _unmapped(
        f"an occurrence of {['exactly', 'at most', 'at least'][int(how)]} {many}", "at least 1 and 0 map"
    )
