"""Write the ``map.toml`` of a layout: the mapping that the hospital's own people would write by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping

from fedvalue.synthetic.genome import GENES
from fedvalue.synthetic.layouts import Layout


def mapping_text(layout: Layout) -> str:
    """Return the mapping file of a hospital that writes as ``layout`` says, as TOML."""
    here = layout.headers
    parts = [f"# {layout.name}\nmapping = 1\n"]
    for table, path in layout.files.items():
        lines = [f"[files.{table}]", f"path = {_text(path)}"]
        if layout.encoding != "utf-8" and path.endswith((".csv", ".tsv")):
            lines.append(f"encoding = {_text(layout.encoding)}")
        parts.append("\n".join(lines) + "\n")
    origin = [f"origin = {_day(layout, 'diagnosed')}"] if layout.origin else []
    parts.append(_table("[patient]", "patients", layout, *origin))
    parts.append(
        "[patient.attributes]\n"
        f"sex = {_cell(layout, 'sex')}\n"
        f'age = {{ column = {_text(here["age"])}, type = "number" }}\n'
    )
    code = f"code = {_cell(layout, 'drug')}"
    parts.append(
        _table(
            "[[drug]]", "treatments", layout, _at(layout, "started"), code, f"line = {_text(here['line'])}"
        )
    )
    method, status = 'method = { constant = "clinician" }', f"status = {_cell(layout, 'status')}"
    parts.append(_table("[[response]]", "responses", layout, _at(layout, "assessed"), method, status))
    parts.append(
        _table("[[event]]", "events", layout, _at(layout, "happened"), f"kind = {_cell(layout, 'kind')}")
    )
    parts.append(_table("[[follow_up]]", "patients", layout, _at(layout, "last_contact")))
    currency = _text(here["currency"]) if layout.currency_column else '{ constant = "CNY" }'
    bill = (
        f"claim_id = {_text(here['claim_id'])}",
        _at(layout, "billed"),
        f"total_paid = {_text(here['total'])}",
        f"patient_paid = {_text(here['self'])}",
        f"currency = {currency}",
    )
    parts.append(_table("[[claim]]", "claims", layout, *bill))
    joined = f'{{ column = {_text(here["diagnosis"])}, separator = ";" }}'
    diagnosis = joined if layout.joined_diagnoses else _text(here["diagnosis"])
    parts.append(_table("[[condition]]", "claims", layout, _at(layout, "billed"), f"code = {diagnosis}"))
    parts.append(_variants(layout))
    genes = (
        f'{{ column = {_text(here["genes"])}, separator = ";" }}'
        if layout.panel_column
        else json.dumps(GENES)
    )
    parts.append(_table("[[test]]", "tests", layout, _at(layout, "reported"), f"genes = {genes}"))
    return "\n".join(parts)


def _table(head: str, file: str, layout: Layout, *lines: str) -> str:
    patient = f"patient_id = {_text(layout.headers['patient_id'])}"
    return "\n".join([head, f"file = {_text(file)}", patient, *lines]) + "\n"


def _variants(layout: Layout) -> str:
    lines = ["[[variant]]", 'file = "variants"']
    if layout.variants == "vcf per patient":
        lines.append('patient_id = "file"')
    if layout.tested == "listed":
        lines += ['tested = "listed"', f"genes = {json.dumps(GENES)}"]
    return "\n".join(lines) + "\n"


def _at(layout: Layout, column: str) -> str:
    return f"day = {_day(layout, column)}"


def _day(layout: Layout, column: str) -> str:
    header = _text(layout.headers[column])
    if layout.calendar == "numbers":
        return f"{{ day = {header} }}"
    if layout.calendar == "durations" and column != "diagnosed":
        return f"{{ duration = {header} }}"
    if layout.calendar == "dotted":
        return f'{{ date = {header}, format = ["%d.%m.%Y"] }}'
    return f"{{ date = {header} }}"


def _cell(layout: Layout, column: str) -> str:
    header, words = _text(layout.headers[column]), layout.words.get(column)
    return header if words is None else f"{{ column = {header}, codes = {_inline(words)} }}"


def _inline(words: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f"{_text(local)} = {_text(ours)}" for ours, local in words.items()) + " }"


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return json.dumps(value, ensure_ascii=False)
