"""What a laboratory's own words say of each gene: "l858r, t790m", "E746_A750del", "KRAS not tested".

The words are English or Chinese. Whatever cannot be told for certain is "not readable": a negation that may
or may not cover a variant beside it, an exception ("none but T790M"), a doubt ("suspected"), or words that
this module does not know. So wild type is said only of a gene whose own clause, or a clause about every gene,
says so and says nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fedvalue.client.records import laboratory_words as words
from fedvalue.client.records.actionable import FUSION, actionable
from fedvalue.client.records.effects import short_protein_change
from fedvalue.client.records.scope import NOT_READABLE, NOT_REPORTED, TESTED
from fedvalue.client.records.store import UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Finding:
    """What the words say of one gene.

    Attributes:
      gene: Symbol; empty where the words are about every gene that was looked at.
      state: A status of `scope`; ``tested`` with a variant, or without one for wild type.
      change: Protein change in short form, or a name of the catalogue; empty for none or an unknown one.
      effect: MAF class of the variant; empty where there is none.
      significance: ``uncertain`` or empty.
    """

    gene: str
    state: str
    change: str = ""
    effect: str = ""
    significance: str = ""

    @property
    def wild_type(self) -> bool:
        """True where the gene was read and has no variant."""
        return self.state == TESTED and not self.effect


def read_words(text: str, gene: str = "", genes: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Return what a report says, one finding a gene or variant, in the order of the words.

    Args:
      text: The words.
      gene: The gene that they are of, where the row says it.
      genes: What was looked at, as far as it is known.

    Returns:
      Never empty: words that cannot be read are a finding of their own. A gene of ``genes`` that the words
      do not mention has none.
    """
    plain = unicodedata.normalize("NFKC", text).strip().lower().replace("’", "'")
    plain = plain.replace("(+)", " positive ").replace("(-)", " negative ")
    if not plain or plain in ("-", "--", "na", "n/a", "null", "none given"):
        return (Finding(gene, NOT_REPORTED),)
    if len(plain) > words.LONGEST_TEXT or "\0" in plain:
        return (Finding(gene, NOT_READABLE),)
    symbols = _symbols(tuple(one.upper() for one in genes), gene.upper())
    found: list[Finding] = []
    current: tuple[str, ...] = (gene.upper(),) if gene else ()
    for clause in words.CLAUSE.split(plain):
        if clause.strip():
            said, current = _clause(clause.strip(" :.-"), symbols, current, gene.upper())
            found += said
    return _settled(found or [Finding(gene.upper(), NOT_READABLE)])


@lru_cache(maxsize=256)
def _symbols(genes: tuple[str, ...], own: str) -> re.Pattern[str]:
    known = {*actionable().genes, *words.KNOWN_GENES, *genes, *words.ALIASES, *([own] if own else [])}
    either = "|".join(re.escape(one.lower()) for one in sorted(known, key=lambda one: (-len(one), one)))
    return re.compile(rf"(?<![a-z0-9])(?:{either})(?![a-z0-9])")


def _named(clause: str, symbols: re.Pattern[str]) -> list[str]:
    found = [one.group().upper() for one in symbols.finditer(clause)]
    return list(dict.fromkeys(words.ALIASES.get(one, one) for one in found))


def _clause(
    clause: str, symbols: re.Pattern[str], current: tuple[str, ...], own: str
) -> tuple[list[Finding], tuple[str, ...]]:
    """Return what one clause says, and the genes that the next one is of if it names none."""
    named = _named(clause, symbols)
    if own and any(one != own for one in named) and not words.PARTNERS.search(clause):
        return [Finding(own, NOT_READABLE)], current  # a row of one gene that speaks of another
    own_gene = (own,) if own else ()
    subjects = tuple(named) or own_gene or (() if words.EVERY.search(clause) else current)
    variants = list(_variants(clause, symbols, subjects, own))
    targets = list(subjects) or [""]
    bare = words.SIGNIFICANCE_WORDS.sub("", clause)
    doubtful = words.DOUBT.search(bare) is not None
    for state, pattern in words.STATES:
        if pattern.search(clause) is not None:
            mixed = bool(variants) or doubtful or words.EXCEPTION.search(clause) is not None
            others = sum(other.search(clause) is not None for _, other in words.STATES) > 1
            said = NOT_READABLE if mixed or others or _plain_positive(clause) else state
            return [Finding(one, said) for one in _owners(variants, targets)], subjects
    if doubtful:
        return [Finding(one, NOT_READABLE) for one in _owners(variants, targets)], subjects
    negative = words.NEGATIVE.search(clause) is not None
    if negative and words.EXCEPTION.search(clause) is not None:
        return [Finding(one, NOT_READABLE) for one in _owners(variants, targets)], subjects
    if words.REFERENCE_ALLELES.search(clause) is not None and not variants and not negative:
        return [Finding(one, TESTED) for one in targets], subjects
    if (
        words.PROTEIN.search(clause) is not None
        and not variants
        and words.MUTATION_WORDS.search(clause) is None
    ):
        told = negative or _plain_positive(clause)
        return [Finding(one, NOT_READABLE) for one in targets if told or _rest(clause, symbols)], subjects
    if negative and variants:
        return _mixed(clause, symbols, subjects, own, targets), subjects
    if negative:
        unknown = (
            words.CODING.search(clause) is not None
        )  # a variant that we cannot name is not there: what of it?
        if (
            unknown
            or _plain_positive(words.NEGATIVE.sub(" ", clause))
            or words.UNCERTAIN.search(clause) is not None
        ):
            return [Finding(one, NOT_READABLE) for one in targets], subjects
        return [Finding(one, TESTED) for one in targets], subjects
    if variants:
        loose = [
            Finding(gene, NOT_READABLE) for gene in subjects if gene not in {one.gene for one in variants}
        ]
        return variants + loose, subjects
    if (
        words.UNCERTAIN.search(clause) or _plain_positive(clause) or words.MUTATION_WORDS.search(clause)
    ) and subjects:
        uncertain = "uncertain" if words.UNCERTAIN.search(clause) else ""
        fused = words.FUSED.search(clause) is not None
        return [
            Finding(one, TESTED, "", "Fusion" if fused else UNSPECIFIED, uncertain) for one in targets
        ], subjects
    if not _rest(clause, symbols) and named:
        return [], subjects  # a heading: the next clause says what of
    return [Finding(one, NOT_READABLE) for one in targets], subjects


def _rest(clause: str, symbols: re.Pattern[str]) -> str:
    return symbols.sub(" ", clause).strip(" :,-=()")


def _owners(variants: list[Finding], targets: list[str]) -> list[str]:
    return list(
        dict.fromkeys([*(one.gene for one in variants), *(one for one in targets if one or not variants)])
    )


def _plain_positive(clause: str) -> bool:
    return words.POSITIVE.search(clause) is not None


def _mixed(
    clause: str, symbols: re.Pattern[str], subjects: tuple[str, ...], own: str, targets: list[str]
) -> list[Finding]:
    """Return what a clause with variants and a negation says: each variant needs a word of its own."""
    everyone = list(_variants(clause, symbols, subjects, own))
    unclear = [Finding(one, NOT_READABLE) for one in _owners(everyone, targets)]
    if len(everyone) > 1 and words.PREFIXED.search(clause) is not None:
        return unclear  # "no T790M and L858R detected": nobody can tell how far the "no" reaches
    kept: list[Finding] = []
    for piece in words.PIECE.split(clause):
        inside = list(_variants(piece, symbols, subjects, own))
        negative = words.NEGATIVE.search(piece) is not None
        positive = _plain_positive(words.NEGATIVE.sub(" ", piece))
        if not inside and not negative and not piece.strip(" :"):
            continue
        if len(inside) > 1 or negative == positive or (not inside and not _named(piece, symbols)):
            return unclear
        if inside and negative:
            kept.append(_absent(inside[0]))
        elif inside:
            kept += inside
        else:
            kept += [Finding(one, TESTED if negative else NOT_READABLE) for one in _named(piece, symbols)]
    return kept


def _absent(variant: Finding) -> Finding:
    """Return what the absence of one variant says: of the rest of the gene nothing, if there is any."""
    if variant.effect == "Fusion" and actionable().only_fusions(variant.gene):
        return Finding(variant.gene, TESTED)
    return Finding(variant.gene, NOT_REPORTED, variant.change or FUSION)


def _variants(
    clause: str, symbols: re.Pattern[str], subjects: tuple[str, ...], own: str
) -> Iterator[Finding]:
    """Yield the variants of a clause, each with the gene before it, else the one that the catalogue knows."""
    uncertain = "uncertain" if words.UNCERTAIN.search(clause) is not None else ""
    genes = [
        (one.start(), words.ALIASES.get(one.group().upper(), one.group().upper()))
        for one in symbols.finditer(clause)
    ]
    for at, change, effect in _words_of_variants(clause, symbols):
        before = [gene for start, gene in genes if start < at]
        gene = own or (before[-1] if before else "")
        if not gene and len(subjects) == 1:
            gene = subjects[0]
        if not gene:
            known = actionable().genes_of(change, effect)
            gene = known[0] if len(known) == 1 else ""
        if gene:
            yield Finding(gene, TESTED, change, actionable().effect(gene, change) or effect, uncertain)
        else:
            yield Finding("", NOT_READABLE)
    if words.FUSED.search(clause) is not None or words.PARTNERS.search(clause) is not None:
        fused = [
            gene for gene in ([own] if own else [gene for _, gene in genes] or list(subjects))
            if FUSION in actionable().names(gene) or words.FUSED.search(clause) is not None
        ]  # fmt: skip
        for gene in dict.fromkeys(fused):
            yield Finding(gene, TESTED, "", "Fusion", uncertain)


def _words_of_variants(clause: str, symbols: re.Pattern[str]) -> Iterator[tuple[int, str, str]]:
    """Yield place, change and MAF class of every variant that a clause writes."""
    blanked = words.CODING.sub(lambda one: " " * len(one.group()), clause)
    gene_places = [one.span() for one in symbols.finditer(blanked)]
    found: list[tuple[int, str, str]] = []
    taken: list[tuple[int, int]] = []
    beside = words.CHANGE.search(blanked) is not None or words.LEGACY.search(blanked) is not None
    for one in words.CODING.finditer(clause):
        name = actionable().spelled(one.group())
        if name and not beside:  # a protein change beside it is the same variant
            found.append((one.start(), name, UNSPECIFIED))
    for one in words.LEGACY.finditer(blanked):
        found.append((one.start(), f"p.{one[1].upper()}_{one[2].upper()}del", "In_Frame_Del"))
        taken.append(one.span())
    for one in words.CHANGE.finditer(blanked):
        inside = any(start <= one.start() and one.end() <= end for start, end in [*gene_places, *taken])
        change = "" if inside else _canonical(one[1])
        if change:
            found.append((one.start(), change, _effect_of(change)))
    for one in words.EXON.finditer(blanked):
        number, word = (one[1], one[2]) if one[1] else (one[3], one[4])
        shape = "del" if word[0] in "d缺" else "ins" if word[0] in "i插" else "skip"
        name = f"ex{int(number)}{shape}"
        effect = {"del": "In_Frame_Del", "ins": "In_Frame_Ins", "skip": "Splice_Site"}[shape]
        found.append((one.start(), name, effect))
    for pattern in (words.RSID, words.STAR):
        for one in pattern.finditer(blanked):
            if pattern is words.RSID or (one[1] != "*1" and gene_places):
                found += [(one.start(), one[1], UNSPECIFIED)]
    yield from sorted(found)


def _canonical(text: str) -> str:
    """Return ``p.E746_A750del`` for any spelling of it, empty where the letters are no amino acids."""
    parts = words.SHAPE.fullmatch(text)
    if parts is None:
        return ""
    size = len(parts["first"])
    ends = [parts["first"], *([parts["second"]] if parts["second"] else [])]
    tail = words.TAIL.fullmatch(parts["tail"])
    if tail is None:
        return ""
    put = [tail["put"][at : at + size] for at in range(0, len(tail["put"]), size)]
    letters = [_letter(one, size) for one in (*ends, *put)]
    if "" in letters:
        return ""
    at = f"{letters[0]}{parts['at']}" + (f"_{letters[1]}{parts['to']}" if parts["second"] else "")
    new = "".join(letters[len(ends) :])
    if tail["fs"]:
        return f"p.{at}{new}fs{(tail['stop'] or '').replace('ter', '*')}"
    return f"p.{at}{tail['operation']}{new}"


def _letter(residue: str, size: int) -> str:
    """Return the one-letter code of an amino acid, empty where it is none."""
    if len(residue) != size and residue != "*":
        return ""
    if len(residue) == 1:
        return residue.upper() if residue in words.ONE else ""
    return short_protein_change(f"p.{residue.capitalize()}1")[2:-1] if residue in words.THREE else ""


def _effect_of(change: str) -> str:
    if "fs" in change:
        return "Frame_Shift_Del"
    if "splice" in change:
        return "Splice_Site"
    if "delins" in change or change.endswith("del"):
        return "In_Frame_Del"
    if "ins" in change or change.endswith("dup"):
        return "In_Frame_Ins"
    return "Nonsense_Mutation" if change.endswith("*") else "Missense_Mutation"


def _settled(found: list[Finding]) -> tuple[Finding, ...]:
    """Return the findings without contradictions: who has a variant, or doubt, is not wild type too."""
    seen = list(dict.fromkeys(found))
    kept: list[Finding] = []
    for gene in dict.fromkeys(one.gene for one in seen):
        own = [one for one in seen if one.gene == gene]
        # The absence of one variant adds nothing to what else is said of its gene.
        own = [one for one in own if one.state != NOT_REPORTED or not one.change] or [
            Finding(gene, NOT_REPORTED)
        ]
        others = [one for one in own if not one.wild_type]
        if len(others) == len(own) or not others:
            kept += own
        elif any(one.effect for one in others):
            kept += others
        else:
            kept.append(Finding(gene, NOT_READABLE))
    return tuple(kept)
