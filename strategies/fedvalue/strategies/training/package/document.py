"""The model package: public numbers of a model, what they mean, what was measured of it, and who signed.

One canonical JSON document, sealed as evidence is (`fedvalue.evidence.sealing`): its identity is made from
its content, and the coordinator signs it. It is made from an evidence package, whose study holds the model
and whose conclusions hold its evaluation; nothing in it is typed by hand but what people say about it: the
purpose, a reason for every variable, and limits. A hospital scores its own rows with the document alone.
"""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from fedvalue.analyses.estimate import Conclusion, Value
from fedvalue.errors import EvidenceError
from fedvalue.evidence import documents, sealing
from fedvalue.evidence.fields import Digest, Label
from fedvalue.study.cohort import Cohort, Variable
from fedvalue.study.endpoints import Endpoint
from fedvalue.study.model import Line, Name
from fedvalue.study.schema import Text
from fedvalue.study.scoring import ScoringModel
from fedvalue.study.signature import Signature

FORMAT: Literal["fedvalue.model/1"] = "fedvalue.model/1"
DOCUMENT, ONNX = "model.json", "model.onnx"
"""Names of the files of a package."""


class Words(Value):
    """A sentence for people, in both languages.

    Attributes:
      en: English.
      zh: Simplified Chinese.
    """

    en: Line = Field(min_length=1)
    zh: Line = Field(min_length=1)


class Spent(Value):
    """Privacy that a study took for this model.

    Attributes:
      study_id: The study.
      study_hash: Its hash.
      evidence_id: The evidence.
      purpose: What it did: trained the model, or evaluated it.
      epsilon: Against the coordinator and the assumed colluding sites; None where there is no promise.
      delta: Of that epsilon.
      rho_units: Of all its releases, in 2^-40 zCDP.
      releases: How many there were.
      sites: Who answered, in the order of ids.
      until: Last day on which the evidence holds.
    """

    study_id: Line
    study_hash: Digest
    evidence_id: Line
    purpose: Literal["training", "evaluation"]
    epsilon: float | None
    delta: float
    rho_units: int = Field(ge=0)
    releases: int = Field(ge=0)
    sites: tuple[Label, ...]
    until: date


class Check(Value):
    """An attack on the model, run and reported, or not.

    Attributes:
      attack: ``membership_inference``: can patients of the training be told from others; ``canary``: can
        made-up patients who were put in be told from such as were not.
      status: Whether it was run.
      value: How far the attacker gets beyond guessing, 0 to 1; None where it was not run.
      upper: Upper end of the 95 % interval.
      bound: What the promised epsilon would allow, 0 to 1.
      command: What ran it.
      of: The model itself, or the way it was trained, on made-up hospitals: canaries have to be in a training
        to be looked for.
      epsilon: That was promised of the training that was attacked.
      epsilon_at_least: Lower bound on its epsilon that the attack shows, at 95 % confidence.
      source: Where method and figures are told, and of which code.
    """

    attack: Literal["membership_inference", "canary"]
    status: Literal["run", "not run"]
    value: float | None = Field(default=None, ge=-1, le=1)
    upper: float | None = Field(default=None, ge=-1, le=1)
    bound: float | None = Field(default=None, ge=0, le=1)
    command: Line = ""
    of: Literal["model", "method"] = Field(default="model", exclude_if=lambda value: value == "model")
    epsilon: float | None = Field(default=None, gt=0, exclude_if=lambda value: value is None)
    epsilon_at_least: float | None = Field(default=None, ge=0, exclude_if=lambda value: value is None)
    source: Line = Field(default="", exclude_if=lambda value: not value)

    @model_validator(mode="after")
    def _run_has_a_value(self) -> Self:
        if (self.status == "run") != (self.value is not None and bool(self.command)):
            raise ValueError("a check that was run has a value and a command, and no other has")
        return self


class Gated(Value):
    """What the gates before a payment say.

    Attributes:
      analysis: Label of the evaluation.
      outcome: ``met``, ``not_met`` or ``insufficient_evidence``.
      judged: Gate to its verdict.
      small: Groups too small to judge: not assessed, and never called fair.
      missing: What was not reported.
    """

    analysis: Line
    outcome: Literal["met", "not_met", "insufficient_evidence"]
    judged: dict[str, Literal["met", "not_met", "insufficient_evidence"]]
    small: tuple[Line, ...] = ()
    missing: tuple[Line, ...] = ()


class ModelBody(Value):
    """A model package before it is sealed.

    Attributes:
      format: Of this document.
      name: Short name of the model.
      created: When it was packed.
      simulation: True where any of its evidence comes from a simulation.
      unsafe: What lowered the protection of its evidence.
      title: What it is, for people.
      purpose: What it may be used for.
      limits: What it may not be used for, and what is not known.
      reasons: For every variable, why it is in the model.
      outcome_name: Name of what is predicted.
      outcome: What that is.
      cohort: Whom the model is for.
      variables: The data dictionary: what every column reads, with public ranges and levels.
      model: The numbers.
      onnx: SHA-256 of the ONNX file beside the document; None where there is none.
      tiers: Names of the risk tiers from the lowest, and the cuts between them; empty for none.
      cuts: Between the tiers.
      minimum: Smallest released number for which a group is assessed.
      evaluations: What was concluded of the model.
      gates: What the gates say of each evaluation.
      spent: Privacy, by study.
      checks: Attacks that were run.
    """

    format: Literal["fedvalue.model/1"] = FORMAT
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,62}$")]
    created: AwareDatetime
    simulation: bool
    unsafe: tuple[Line, ...]
    title: Text
    purpose: Words
    limits: tuple[Words, ...] = Field(min_length=1)
    reasons: dict[Name, Words]
    outcome_name: Name
    outcome: Endpoint
    cohort: Cohort
    variables: dict[Name, Variable]
    model: ScoringModel
    onnx: Digest | None = None
    tiers: tuple[Line, ...] = ()
    cuts: tuple[float, ...] = ()
    minimum: int = Field(ge=1)
    evaluations: tuple[Conclusion, ...]
    gates: tuple[Gated, ...]
    spent: tuple[Spent, ...] = Field(min_length=1)
    checks: tuple[Check, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if without := sorted(set(self.model.variables) - set(self.reasons)):
            raise ValueError(f"no reason is given for {without[0]}: every variable of a model has one")
        if stray := sorted(set(self.reasons) - set(self.model.variables)):
            raise ValueError(f"a reason for {stray[0]}, which the model does not read")
        self.model.require_reads(self.variables)
        if len(self.tiers) != (len(self.cuts) + 1 if self.cuts else 0):
            raise ValueError("tiers have cuts between them")
        return self

    @property
    def genomic(self) -> tuple[str, ...]:
        """Variables of the model that are genes."""
        return tuple(name for name in self.model.variables if self.variables[name].genes)


class ModelPackage(ModelBody):
    """A sealed model package.

    Attributes:
      model_id: ``mo-`` and 32 hexadecimal digits of the SHA-256 of the content.
      signatures: The coordinator's first.
    """

    model_id: Annotated[str, StringConstraints(pattern=r"^mo-[0-9a-f]{32}$")]
    signatures: tuple[Signature, ...] = ()


def seal(body: ModelBody, key: Ed25519PrivateKey) -> ModelPackage:
    """Return the signed package of a body; ``key`` is the coordinator's."""
    fields = {name: getattr(body, name) for name in ModelBody.model_fields}
    return ModelPackage(**fields, **sealing.sealed_fields(body, key))


def check(package: ModelPackage, *, public_key: str | None = None, onnx: bytes | None = None) -> None:
    """Check identity, signatures, and the ONNX file where its bytes are given.

    Args:
      package: The package.
      public_key: The key that must have signed it, if it is known.
      onnx: Content of the file beside it.

    Raises:
      EvidenceError: the identity is not that of the content, it is not signed, or the file is another one.
      SignatureInvalid: a signature does not match.
    """
    sealing.check_sealed(documents.content(package), where=package.model_id, public_key=public_key)
    if onnx is not None and hashlib.sha256(onnx).hexdigest() != package.onnx:
        raise EvidenceError(
            "the ONNX file is not the one that was signed", where=package.model_id,
            do="take both files from where the package was published",
        )  # fmt: skip


def load(path: Path) -> ModelPackage:
    """Read a package, from its file or its folder; nothing of it is believed before `check`.

    Raises:
      EvidenceError: unreadable or not a package.
    """
    file = path / DOCUMENT if path.is_dir() else path
    return documents.parse(ModelPackage, documents.read_bytes(file), where=str(file))


def checked(path: Path, *, public_key: str | None = None) -> ModelPackage:
    """Read a package and check all of it, the ONNX file beside it too.

    Raises:
      EvidenceError: unreadable, not a package, changed, or without the file that it names.
      SignatureInvalid: a signature does not match.
    """
    package, beside = load(path), (path if path.is_dir() else path.parent) / ONNX
    onnx: Any = None
    if package.onnx is not None and (beside.exists() or path.is_dir()):
        onnx = documents.read_bytes(beside)
    check(package, public_key=public_key, onnx=onnx)
    return package
