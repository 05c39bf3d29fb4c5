"""The catalogue of variants that a payment or a prescription hangs on: `actionable.yaml`, dated and sourced.

It names a variant by its position, where a file says no genes, and by gene, protein change and effect, where
it does. A file that is read by position can be judged for the catalogue's variants only: for any other
question about the gene it is not readable, which is not wild type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from fedvalue.client.records.annotations import Annotation
from fedvalue.client.records.builds import Build, plain_chromosome

FUSION = "fusion"
Shape = Literal[
    "in-frame deletion", "in-frame insertion", "touches", "breakpoint", "frame shift or splice site"
]
_SPLICE = 2
"""Bases of an intron, next to an exon, that a splice site has (donor GT, acceptor AG)."""
_CODON = re.compile(r"p\.[A-Z*]*(\d+)")
"""The first codon of a change; Oncotator writes p.ELREA746del for p.E746_A750del."""
STRETCH = 14
"""Bits of a position that one stretch of the catalogue's index spans."""
_MARKS = ("", "chr", "Chr", "CHR")
_MOST_DIGITS = 12
_MATE = re.compile(r"[\[\]]([^\[\]:]+):(\d+)[\[\]]")
_END = re.compile(r"(?:^|;)END=(\d+)")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(_Part):
    """One variant of the catalogue.

    Attributes:
      name: What a study may name it by, such as ``L858R`` or ``ex19del``.
      change: Protein change in short form, empty where there is none.
      also: Other names, protein changes among them.
      effect: MAF class.
      effects: MAF classes that make a change this entry, whatever its protein change.
      shape: What a change in one of the spans has to be; None for entries of exact spots.
      codons: First and last codon of a span, for annotated files.
      spots: Build to exact changes, ``"55259515 T>G"``, 1-based, plus strand.
      spans: Build to first and last bases, 1-based.
      source: Key of the reference.
    """

    name: str
    change: str = ""
    also: tuple[str, ...] = ()
    effect: str
    effects: tuple[str, ...] = ()
    shape: Shape | None = None
    codons: tuple[tuple[int, int], ...] = ()
    spots: dict[Build, tuple[str, ...]] = {}
    spans: dict[Build, tuple[tuple[int, int], ...]] = {}
    source: str

    @property
    def shown(self) -> str:
        """What stands for it in the column of protein changes."""
        return self.change or self.name


class Gene(_Part):
    """The entries of one gene."""

    chromosome: str
    entries: tuple[Entry, ...] = Field(min_length=1)


class Catalogue(_Part):
    """Every entry, by gene.

    Attributes:
      as_of: Day on which it was put together.
      sources: Key to reference.
      genes: Symbol to its entries.
    """

    as_of: date
    sources: dict[str, str]
    genes: dict[str, Gene]

    def names(self, gene: str) -> frozenset[str]:
        """Return what the entries of a gene are called, other names and protein changes included."""
        found = self.genes.get(gene)
        return frozenset(name for entry in (found.entries if found else ()) for name in _called(entry))

    def name(self, gene: str, change: str, effect: str) -> str:
        """Return the name of the entry that an annotated variant is, empty where it is none.

        Args:
          gene: Symbol.
          change: Protein change in short form, or a name of an entry.
          effect: MAF class.
        """
        found = self.genes.get(gene)
        if found is None:
            return ""
        for entry in found.entries:
            if change and change in (entry.name, entry.change, *entry.also):
                return entry.name
        for entry in found.entries:
            if _is_class(entry, change, effect):
                return entry.name
        return ""

    def genes_of(self, change: str, effect: str) -> tuple[str, ...]:
        """Return the genes with an entry that a change of this MAF class is."""
        return tuple(gene for gene in self.genes if self.name(gene, change, effect))

    def spelled(self, text: str) -> str:
        """Return the name of an entry that is written like this, whatever its case, empty where none is."""
        for gene in self.genes:
            for name in self.names(gene):
                if name.lower() == text.lower():
                    return name
        return ""

    def effect(self, gene: str, change: str) -> str:
        """Return the MAF class of the entry that goes by a name or protein change, empty for none."""
        found = self.genes.get(gene)
        entries = found.entries if found else ()
        return next((entry.effect for entry in entries if change and change in _called(entry)), "")

    def only_fusions(self, gene: str) -> bool:
        """Tell whether fusions are all that the catalogue has of a gene."""
        found = self.genes.get(gene)
        return found is not None and all(entry.shape == "breakpoint" for entry in found.entries)


def _called(entry: Entry) -> Iterator[str]:
    yield entry.name
    yield from (name for name in (entry.change, *entry.also) if name)


def _is_class(entry: Entry, change: str, effect: str) -> bool:
    if entry.shape == "breakpoint":
        return effect == "Fusion"
    if entry.effects:
        return effect in entry.effects
    if not entry.codons or effect not in (entry.effect, "Unspecified"):
        return False
    codon = _CODON.match(change)
    if codon is None or not any(first <= int(codon[1]) <= last for first, last in entry.codons):
        return False
    if effect == "Unspecified":
        word = {"in-frame deletion": "del", "in-frame insertion": "ins"}.get(entry.shape or "", "splice")
        return word in change or (word == "ins" and "dup" in change)
    return True


@cache
def actionable() -> Catalogue:
    """Return the catalogue that this version ships."""
    text = files("fedvalue.client.records").joinpath("actionable.yaml").read_text(encoding="utf-8")
    return Catalogue.model_validate(yaml.safe_load(text))


@dataclass(frozen=True, slots=True)
class Positions:
    """The catalogue on one build, ready to be asked line by line.

    Attributes:
      spots: Chromosome, position, reference and alternative to gene and entry.
      places: Chromosome and position to the reference bases that the catalogue knows there.
      spans: Chromosome to first base, last base, gene and entry.
      near: Chromosome, as files write it, and stretch of 2^`STRETCH` bases in which an entry lies.
    """

    spots: dict[tuple[str, int, str, str], tuple[str, Entry]]
    places: dict[tuple[str, int], frozenset[str]]
    spans: dict[str, tuple[tuple[int, int, str, Entry], ...]]
    near: frozenset[tuple[str, int]]

    def worth_a_look(self, chromosome: str, position: int, reference: str, alternative: str) -> bool:
        """Tell whether a line may touch an entry; the catalogue says nothing of most lines."""
        if (chromosome, position >> STRETCH) in self.near:
            return True
        if len(reference) > 1:
            first, last = position >> STRETCH, (position + len(reference)) >> STRETCH
            if any((chromosome, one) in self.near for one in range(first, last + 1)):
                return True
        return len(alternative) > 3 and ("<" in alternative or "[" in alternative or "]" in alternative)

    def found(
        self, chromosome: str, position: int, reference: str, alternatives: Sequence[str], info: str
    ) -> list[list[Annotation]]:
        """Return the entries that each alternative allele of a line is, in its order."""
        plain = plain_chromosome(chromosome)
        return [self._one(plain, position, reference.upper(), one.upper(), info) for one in alternatives]

    def wrong_base(self, chromosome: str, position: int, reference: str) -> str:
        """Return the gene at whose place the line has another reference base, empty where all is well."""
        known = self.places.get((plain_chromosome(chromosome), position))
        if known is None or reference[:1].upper() in {base[:1] for base in known}:
            return ""
        at = (plain_chromosome(chromosome), position)
        return next(gene for (*place, _, _), (gene, _) in self.spots.items() if tuple(place) == at)

    def _one(
        self, chromosome: str, position: int, reference: str, alternative: str, info: str
    ) -> list[Annotation]:
        if chromosome not in self.spans:
            return []
        if alternative[:1] == "<" or "[" in alternative or "]" in alternative:
            return self._breakpoint(chromosome, position, alternative, info)
        at, cut, put = _trimmed(position, reference, alternative)
        exact = self.spots.get((chromosome, at, cut, put))
        if exact is not None:
            return [_annotation(*exact)]
        last = at + max(len(cut), 1) - 1
        for first, end, gene, entry in self.spans[chromosome]:
            if at <= end + _SPLICE and last >= first - _SPLICE and _fits(entry, (first, end), at, cut, put):
                return [_annotation(gene, entry)]
        return []

    def _breakpoint(self, chromosome: str, position: int, alternative: str, info: str) -> list[Annotation]:
        mate = _MATE.search(alternative)
        if mate is not None:
            other, there = plain_chromosome(mate[1]), int(mate[2][:_MOST_DIGITS])
        elif alternative != "<INS>" and (end := _END.search(info)) is not None:
            other, there = chromosome, int(end[1][:_MOST_DIGITS])
        else:
            return []
        hit = []
        for place, at, far, away in (
            (chromosome, position, other, there),
            (other, there, chromosome, position),
        ):
            for first, last, gene, entry in self.spans.get(place, ()):
                leaves = far != place or not first <= away <= last
                if entry.shape == "breakpoint" and first <= at <= last and leaves:
                    hit.append(_annotation(gene, entry))
        return hit


def _trimmed(position: int, reference: str, alternative: str) -> tuple[int, str, str]:
    """Return the change without the bases that both alleles share; where the two are whole, as they are."""
    while len(reference) > 1 and len(alternative) > 1 and reference[-1] == alternative[-1]:
        reference, alternative = reference[:-1], alternative[:-1]
    while reference and alternative and reference[0] == alternative[0]:
        reference, alternative, position = reference[1:], alternative[1:], position + 1
    return position, reference, alternative


def _fits(entry: Entry, span: tuple[int, int], at: int, cut: str, put: str) -> bool:
    """Tell whether a trimmed change in or at a span has the shape of its entry."""
    first, end = span
    longer, last = len(put) - len(cut), at + max(len(cut), 1) - 1
    overlaps = at <= end and last >= first
    if entry.shape == "touches":
        return overlaps and (bool(cut) or at > first)
    if entry.shape == "in-frame deletion":
        return overlaps and longer < 0 and longer % 3 == 0
    if entry.shape == "in-frame insertion":
        return overlaps and longer > 0 and longer % 3 == 0
    if entry.shape == "frame shift or splice site":
        inside = first <= at and last <= end
        splice = bool(cut) and (
            (at < first and last >= first - _SPLICE) or (last > end and at <= end + _SPLICE)
        )
        return splice or (inside and longer % 3 != 0)
    return False


def _annotation(gene: str, entry: Entry) -> Annotation:
    return Annotation(gene, entry.shown, entry.effect)


@cache
def positions(build: Build) -> Positions:
    """Return the shipped catalogue on one build."""
    spots: dict[tuple[str, int, str, str], tuple[str, Entry]] = {}
    places: dict[tuple[str, int], set[str]] = {}
    spans: dict[str, list[tuple[int, int, str, Entry]]] = {}
    for symbol, gene in actionable().genes.items():
        spans.setdefault(gene.chromosome, [])
        for entry in gene.entries:
            for spot in entry.spots.get(build, ()):
                place, _, alleles = spot.partition(" ")
                reference, _, alternative = alleles.partition(">")
                at, cut, put = _trimmed(int(place), reference, alternative)
                spots[(gene.chromosome, at, cut, put)] = (symbol, entry)
                if len(cut) == 1 and len(put) == 1:
                    places.setdefault((gene.chromosome, at), set()).add(cut)
            spans[gene.chromosome] += [(*span, symbol, entry) for span in entry.spans.get(build, ())]
    stretches = {(chromosome, at >> STRETCH) for chromosome, at, _, _ in spots}
    for chromosome, found in spans.items():
        for first, last, _, _ in found:
            around = range((first >> STRETCH) - 1, (last >> STRETCH) + 2)
            stretches |= {(chromosome, one) for one in around}
    return Positions(
        spots,
        {place: frozenset(bases) for place, bases in places.items()},
        {chromosome: tuple(sorted(found, key=lambda one: one[:2])) for chromosome, found in spans.items()},
        frozenset((f"{mark}{chromosome}", one) for mark in _MARKS for chromosome, one in stretches),
    )


def catalogue_genes() -> tuple[str, ...]:
    """Return the genes of the catalogue."""
    return tuple(actionable().genes)


def fusion_genes() -> frozenset[str]:
    """Return the genes of which the catalogue knows fusions."""
    return frozenset(gene for gene in actionable().genes if FUSION in actionable().names(gene))


def judged(gene: str, classes: Sequence[str]) -> bool:
    """Tell whether the catalogue holds every one of these classes of a gene's variants by position."""
    names = actionable().names(gene)
    return all(one in names or f"p.{one}" in names for one in classes)
