"""Counts over the canonical tables: completeness, codes, days, amounts, duplicates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import duckdb

from fedvalue.client.describing.measure import Measure, judged, one
from fedvalue.client.records.store import quoted

Tables = Mapping[str, tuple[str, ...]]

SYSTEMS: Mapping[str, Mapping[str, str]] = {
    "condition": {
        "ICD-10": r"[A-Z][0-9][0-9A-Z](\.?[0-9A-Z]{1,4}([x+*][0-9]{0,3})?)?",
        "ICD-11": r"[0-9A-HJ-NP-V][A-HJ-NP-V][0-9][0-9A-HJ-NP-Z](\.[0-9A-HJ-NP-Z]{1,2})?",
        "ICD-9-CM": r"([0-9]{3}|V[0-9]{2}|E[0-9]{3})(\.?[0-9]{1,2})?",
        "SNOMED CT": r"[0-9]{6,18}",
    },
    "drug": {
        "ATC": r"[ABCDGHJLMNPRSV][0-9]{2}([A-Z]([A-Z]([0-9]{2})?)?)?",
        "医保药品代码": r"[XZT][A-Z0-9]{12,30}",
        "NDC or RxNorm": r"[0-9]{2,13}(-[0-9]{1,4}){0,2}",
    },
    "procedure": {
        "ICD-9-CM-3": r"[0-9]{2}\.?[0-9]{0,2}(x[0-9]{1,4})?",
        "ICD-10-PCS": r"[0-9A-HJ-NP-Z]{7}",
        "CPT or HCPCS": r"[0-9A-Z][0-9]{4}",
        "SNOMED CT": r"[0-9]{6,18}",
    },
}  # fmt: skip
"""What codes of a table look like, by coding system; a code may fit several, and the first counts."""

ATTRIBUTE_SKIPPED = ("patient_id", "source")
EARLIEST_PLAUSIBLE = -36525.0
"""1870-01-01, in days since 1970-01-01."""

LARGEST_AMOUNT = 10_000_000
"""An amount on one claim above which somebody should look, in its own currency."""

_KEYS: Mapping[str, tuple[str, ...]] = {
    "drug": ("day", "code"), "condition": ("day", "code"), "procedure": ("day", "code"),
    "event": ("day", "kind"), "response": ("day", "method", "status"), "follow_up": ("day",),
    "admission": ("day", "discharge", "code"), "adverse_event": ("day", "code", "grade"),
    "claim": ("claim_id",), "claim_line": ("claim_id", "line"), "test": ("day", "gene"),
    "variant": ("gene", "protein_change", "effect"), "measurement": ("day", "code", "value"),
}  # fmt: skip


def completeness(connection: duckdb.DuckDBPyConnection, tables: Tables) -> Iterator[Measure]:
    """Yield the people without any record of a kind, and the empty values of each column."""
    (people,) = one(connection, "SELECT count(*) FROM patient")
    for table, columns in tables.items():
        (rows,) = one(connection, f"SELECT count(*) FROM {table}")  # noqa: S608 (own names)
        if table != "patient":
            sql = f"SELECT count(DISTINCT patient_id) FROM {table}"  # noqa: S608 (own names)
            (seen,) = one(connection, sql)
            yield judged(
                "completeness", "without_record", table, people - seen, people, look=1.0, bad=1.0,
                detail=str(rows),
            )  # fmt: skip
        for column in columns:
            if column in ATTRIBUTE_SKIPPED or not rows:
                continue
            sql = f"SELECT count(*) - count({quoted(column)}) FROM {table}"  # noqa: S608 (own names, quoted)
            (empty,) = one(connection, sql)
            if empty or table == "patient":
                yield judged("completeness", "empty", f"{table}.{column}", empty, rows, look=0.05, bad=0.3)


def codes(connection: duckdb.DuckDBPyConnection, tables: Tables) -> Iterator[Measure]:
    """Yield, for each table with codes, how many look like which coding system and how many like none."""
    for table, systems in SYSTEMS.items():
        if table not in tables:
            continue
        names = list(systems)
        fits = " ".join(f"WHEN regexp_full_match(upper(code), ?) THEN {i}" for i in range(len(names)))
        found = dict(
            connection.execute(
                f"SELECT CASE {fits} ELSE -1 END AS system, count(*) FROM {table} GROUP BY 1",  # noqa: S608 (own names)
                [pattern.upper() for pattern in systems.values()],
            ).fetchall()
        )
        rows = sum(found.values())
        for i, name in enumerate(names):
            if found.get(i):
                yield Measure(
                    area="codes", key="looks_like", about=table, count=found[i], of=rows, detail=name
                )
        yield judged("codes", "no_system", table, found.get(-1, 0), rows, look=0.0, bad=0.05)


def dates(connection: duckdb.DuckDBPyConnection, tables: Tables, today: float | None) -> Iterator[Measure]:
    """Yield records before the origin, after death, before 1870 or yet to come, and stays that end early.

    Args:
      connection: The store.
      tables: From `fedvalue.client.describing.measure.tables_of`.
      today: Days since 1970-01-01; None at a hospital whose days are no dates.
    """
    for table, columns in tables.items():
        if "day" not in columns or table == "patient":
            continue
        (rows,) = one(connection, f"SELECT count(*) FROM {table}")  # noqa: S608 (own names)
        if today is not None:
            sql = f"SELECT count(*) FILTER (day > ?), count(*) FILTER (day < ?) FROM {table}"  # noqa: S608 (own names)
            later, early = one(connection, sql, today, EARLIEST_PLAUSIBLE)
            yield judged("dates", "to_come", table, later, rows, look=0.0, bad=0.01)
            if early:
                yield judged("dates", "implausible", table, early, rows, look=0.0, bad=0.0)
        if "event" in tables:
            sql = (
                f"SELECT count(*) FROM {table} x JOIN (SELECT patient_id, min(day) AS died FROM event "  # noqa: S608 (own names)
                "WHERE kind = 'death' GROUP BY patient_id) d USING (patient_id) WHERE x.day > d.died"
            )
            (after,) = one(connection, sql)
            yield judged("dates", "after_death", table, after, rows, look=0.0, bad=0.01)
    for table, first, last in (("admission", "day", "discharge"), ("enrolment", "day", "until")):
        if table in tables:
            sql = f"SELECT count(*) FILTER ({last} < {first}), count(*) FROM {table}"  # noqa: S608 (own names)
            reversed_, rows = one(connection, sql)
            yield judged("dates", "ends_early", table, reversed_, rows, look=0.0, bad=0.01)
    for table in ("event", "follow_up"):
        if table in tables:
            sql = (
                f"SELECT count(*) FILTER (x.day < p.origin), count(*) FROM {table} x "  # noqa: S608 (own names)
                "JOIN patient p USING (patient_id)"
            )
            before, rows = one(connection, sql)
            yield judged("dates", "before_origin", table, before, rows, look=0.0, bad=0.01)


def amounts(connection: duckdb.DuckDBPyConnection, tables: Tables) -> Iterator[Measure]:
    """Yield claims that are negative, of nothing, very large, or of which the parts pass the whole."""
    for table, amount in (("claim", "total_paid"), ("claim_line", "amount")):
        if table not in tables:
            continue
        sql = (
            f"SELECT count(*) FILTER ({amount} < 0), count(*) FILTER ({amount} = 0), "  # noqa: S608 (own names)
            f"count(*) FILTER (abs({amount}) > ?), count(*) FROM {table}"
        )
        negative, nothing, large, rows = one(connection, sql, LARGEST_AMOUNT)
        yield judged("amounts", "negative", table, negative, rows, look=0.0, bad=0.05)
        yield judged("amounts", "zero", table, nothing, rows, look=0.1, bad=0.5)
        yield judged("amounts", "large", table, large, rows, look=0.0, bad=0.01)
    if "claim" in tables:
        split = "patient_paid + coalesce(fund_paid, 0)" if "fund_paid" in tables["claim"] else "patient_paid"
        sql = f"SELECT count(*) FILTER ({split} > total_paid AND total_paid >= 0), count(*) FROM claim"  # noqa: S608 (own names)
        parts, rows = one(connection, sql)
        yield judged("amounts", "parts_pass_whole", "claim", parts, rows, look=0.0, bad=0.01)
        sql = "SELECT greatest(0, count(DISTINCT currency) - 1), 1 FROM claim"
        yield judged("amounts", "currencies", "claim", *one(connection, sql), look=0.0, bad=5.0)


def duplicates(connection: duckdb.DuckDBPyConnection, tables: Tables) -> Iterator[Measure]:
    """Yield rows that say what another row of the same patient says."""
    for table, keys in _KEYS.items():
        if table not in tables or not set(keys) <= set(tables[table]):
            continue
        same = ", ".join(("patient_id", *keys))
        sql = (
            f"SELECT coalesce(sum(n - 1), 0), coalesce(sum(n), 0) FROM "  # noqa: S608 (own names)
            f"(SELECT count(*) AS n FROM {table} GROUP BY {same})"
        )
        twice, rows = one(connection, sql)
        yield judged("duplicates", "repeated", table, twice, rows, look=0.01, bad=0.1)
