"""A made-up insurance region: settlement lists of its hospitals and the payer's own books, to the fen.

Nobody in it exists. Every hospital writes the files of the layout ``settlement-list``; the payer holds all of
them together with enrolment and the register of deaths. What the books have to add up to is counted while
they are written, so that a loader is checked against numbers that no loader made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np

_START = date(2025, 1, 1)
_FEN = Decimal("0.01")
_GROUPS = {"ER11": 2_400_000, "ER13": 1_100_000, "RE15": 680_000}
"""CHS-DRG group to the mean cost of a case in fen."""
_DRUGS = {"XL01EBA012A001010100001": 49_800, "XL01EBO078A001010100002": 15_320}
_CONSUMABLE = "C0101010010000000001"
_DIAGNOSES = ("C34.100x003", "C34.300x001", "C34.900x001", "E11.900")
_HEADS = {
    "persons": "psn_no,gend,brdy,insutype",
    "insuinfo": "psn_no,insutype,psn_insu_date,paus_insu_date,psn_insu_stas",
    "setlinfo": (
        "psn_no,setl_id,init_setl_id,refd_setl_flag,med_type,setl_time,adm_time,dscg_time,dscg_maindiag_code,"
        "grp_code,medfee_sumamt,fund_pay_sumamt,psn_part_amt"
    ),
    "dual_channel": (
        "psn_no,setl_id,init_setl_id,refd_setl_flag,med_type,setl_time,grp_code,medfee_sumamt,fund_pay_sumamt,"
        "psn_part_amt"
    ),
    "feedetail": "psn_no,setl_id,feedetl_sn,fee_ocur_time,med_list_codg,cnt,det_item_fee_sumamt",
    "diseinfo": "psn_no,setl_id,setl_time,diag_code",
    "oprninfo": "psn_no,setl_id,oprn_oprt_code,oprn_oprt_date",
    "opspinfo": "psn_no,opsp_dise_code,begndate,enddate",
    "deaths": "psn_no,die_date",
}


@dataclass(slots=True)
class Books:
    """What a site's files have to add up to.

    Attributes:
      claims: Settlements that stand, by channel.
      total: Their cost in yuan, by channel.
      fund: What the fund paid of it, by channel.
      groups: Inpatient settlements that stand by DRG group: number, total, sum of squares.
      people: Persons in the files.
      refunds: Settlements that were taken back.
    """

    claims: dict[str, int] = field(default_factory=dict)
    total: dict[str, Decimal] = field(default_factory=dict)
    fund: dict[str, Decimal] = field(default_factory=dict)
    groups: dict[str, tuple[int, Decimal, Decimal]] = field(default_factory=dict)
    people: int = 0
    refunds: int = 0

    def add(self, channel: str, group: str, total: Decimal, fund: Decimal) -> None:
        """Enter a settlement that stands."""
        self.claims[channel] = self.claims.get(channel, 0) + 1
        self.total[channel] = self.total.get(channel, Decimal(0)) + total
        self.fund[channel] = self.fund.get(channel, Decimal(0)) + fund
        if group:
            cases, cost, squares = self.groups.get(group, (0, Decimal(0), Decimal(0)))
            self.groups[group] = (cases + 1, cost + total, squares + total * total)


@dataclass(frozen=True, slots=True)
class Region:
    """A region's folders.

    Attributes:
      hospitals: Folder and books of each hospital, by name.
      payer: Folder and books of the payer, who has every hospital's rows.
    """

    hospitals: dict[str, tuple[Path, Books]]
    payer: tuple[Path, Books]


def write_region(
    folder: Path, rng: np.random.Generator, *, people: int = 60, hospitals: int = 2, encoding: str = "utf-8"
) -> Region:
    """Write a region.

    Args:
      folder: Where the folders go.
      rng: Randomness.
      people: Persons of each hospital.
      hospitals: How many.
      encoding: Of the files, ``utf-8`` or ``gb18030``.
    """
    every = {name: list[str]() for name in _HEADS}
    ledger = Books()
    made = {}
    for number in range(hospitals):
        rows, books = {name: list[str]() for name in _HEADS}, Books()
        for at in range(people):
            _person(rows, (books, ledger), rng, f"P{number}{at:06}", f"{number}{at:05}")
        name = f"医院{number + 1}"
        _write(folder / name, rows, encoding)
        made[name] = (folder / name, books)
        for file, lines in rows.items():
            every[file] += lines
    _write(folder / "医保局", every, encoding)
    return Region(made, (folder / "医保局", ledger))


def _person(
    rows: dict[str, list[str]], books: tuple[Books, ...], rng: np.random.Generator, who: str, key: str
) -> None:
    for book in books:
        book.people += 1
    scheme = "310" if rng.random() < 0.5 else "390"
    rows["persons"].append(f"{who},{rng.integers(1, 3)},{1940 + int(rng.integers(45))}-03-01,{scheme}")
    day = _START + timedelta(days=int(rng.integers(200)))
    dies = day + timedelta(days=int(rng.integers(30, 160))) if rng.random() < 0.2 else None
    rows["insuinfo"].append(f"{who},{scheme},2020-01-01,{dies or ''},{4 if dies else 1}")
    if dies is not None:
        rows["deaths"].append(f"{who},{dies}")
    code = str(rng.choice(_DIAGNOSES))
    for stay in range(int(rng.integers(1, 4))):
        _stay(rows, books, rng, who, f"S{key}{stay}", day + timedelta(days=28 * stay), code)
    if rng.random() < 0.5:
        rows["opspinfo"].append(f"{who},M00500,{day},")
        _settle(rows, books, rng, who, f"T{key}", day + timedelta(days=3), "14", "", 30_000)
    if rng.random() < 0.4:
        _settle(rows, books, rng, who, f"D{key}", day + timedelta(days=5), "41", "", 49_800, dual=True)


def _stay(
    rows: dict[str, list[str]],
    books: tuple[Books, ...],
    rng: np.random.Generator,
    who: str,
    key: str,
    day: date,
    code: str,
) -> None:
    group = str(rng.choice(list(_GROUPS)))
    _settle(rows, books, rng, who, key, day, "21", group, _GROUPS[group], code=code)
    rows["diseinfo"] += [f"{who},{key},{day} 09:00:00,{one}" for one in (code, "I10.x05")]
    rows["oprninfo"].append(f"{who},{key},32.4101,{day}")


def _settle(
    rows: dict[str, list[str]],
    books: tuple[Books, ...],
    rng: np.random.Generator,
    who: str,
    key: str,
    day: date,
    kind: str,
    group: str,
    mean: int,
    *,
    code: str = "",
    dual: bool = False,
) -> None:
    """Write a settlement with its fee details, and now and then its refund."""
    lines = [(drug, 1 + int(rng.integers(3)), price) for drug, price in _DRUGS.items()]
    lines.append((_CONSUMABLE, 1, max(1, int(rng.gamma(4.0, mean / 4.0)))))
    amounts = [Decimal(count * price) * _FEN for _, count, price in lines]
    total = sum(amounts, Decimal(0))
    fund = (total * Decimal("0.7")).quantize(_FEN)
    back = rng.random() < 0.1
    stays = f",{day},{day + timedelta(days=7)},{code}" if kind == "21" else ",,,"
    middle = "" if dual else stays
    file = "dual_channel" if dual else "setlinfo"
    rows[file].append(f"{who},{key},,0,{kind},{day} 10:30:00{middle},{group},{total},{fund},{total - fund}")
    if back:
        rows[file].append(
            f"{who},{key}R,{key},1,{kind},{day + timedelta(days=1)} 10:30:00{middle},{group},"
            f"{-total},{-fund},{fund - total}"
        )
    rows["feedetail"] += [
        f"{who},{key},{number},{day} 08:00:00,{drug},{count},{amount}"
        for number, ((drug, count, _), amount) in enumerate(zip(lines, amounts, strict=True), start=1)
    ]
    channel = "dual channel" if dual else "inpatient" if kind == "21" else "outpatient"
    for book in books:
        if back:
            book.refunds += 1
        else:
            book.add(channel, group, total, fund)


def _write(folder: Path, rows: dict[str, list[str]], encoding: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in rows.items():
        text = "\n".join([_HEADS[name], *lines]) + "\n"
        (folder / f"{name}.csv").write_text(text, encoding=encoding)
