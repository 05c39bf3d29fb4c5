"""The site's own rule at the shell: look at a study, say yes or no, sign the policy, note consent."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from fedvalue.client.governance.approvals import approve as approve_study
from fedvalue.client.governance.approvals import countersign as countersign_study
from fedvalue.client.governance.approvals import examine, require_budget
from fedvalue.client.governance.approvals import withdraw as withdraw_study
from fedvalue.client.governance.audit import AuditLog
from fedvalue.client.home import SiteHome
from fedvalue.client.identity import load_identity, site_roster
from fedvalue.client.opening import ASK, open_home
from fedvalue.client.records.patient_cap import require_within_cap
from fedvalue.errors import FedValueError, PolicyForbids, RecordsError, SignatureInvalid
from fedvalue.evidence import statements
from fedvalue.study import file as study_file
from fedvalue.study.identity.ends import warnings
from fedvalue.study.keys import make_key
from fedvalue.study.passphrases import KeyRing, new_passphrase
from fedvalue.study.schema import Study
from fedvalue.study.signature import Signature, public_hex, verify
from fedvalue.study.site_rules import PersonRole
from fedvalue.study.toml import quoted

Home = Annotated[Path, typer.Argument(help="The site's home folder.", show_default=False)]
StudyFile = Annotated[Path, typer.Argument(help="The study, a TOML file.", show_default=False)]
RosterFile = Annotated[Path, typer.Option(help="The roster: the hospitals' cards in one TOML file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Tongue = Annotated[Literal["en", "zh"], typer.Option("--language", help="en or zh.")]
KeyFile = Annotated[
    Path | None, typer.Option("--key", help="Whose signature: a key file; default: the officer's.")
]

policy_app = typer.Typer(no_args_is_help=True, help="The site's policy: signed versions, who signs.")


def add_to(app: typer.Typer) -> None:
    """Add these commands to ``fedvalue site``."""
    named: dict[str, Callable[..., None]] = {
        "check": check, "approve": approve, "countersign": countersign, "revoke": revoke,
        "withdraw": withdraw, "consent": consent, "person": person,
    }  # fmt: skip
    for name, command in named.items():
        app.command(name)(command)
    app.add_typer(policy_app, name="policy")


def check(
    home: Home, study: StudyFile, roster: RosterFile, as_json: AsJson = False, language: Tongue = "en"
) -> None:
    """Say exactly what a study would take out of this site, run it on the records, and approve nothing.

    In words: statistics, shapes, bounds, noise, price, to whom and how often; what of the policy, the study's
    governance block or the roster stands against it, with the lines; and a dry run on the real records, whose
    numbers stay here: nothing of it is kept or sent. The roster must be signed by the authority that this
    site trusts, everybody on it must stand today, and no more hospitals may be unconfirmed here than the
    study assumes to collude. What ends within thirty days is said at the end.

    Exit status 0 only if nothing stands against the study.
    """
    from fedvalue.client.governance.check_words import check_text
    from fedvalue.client.governance.checking import look_at, rehearse, study_text, with_rehearsal

    opened, read = open_home(home), signed_study(home, study)
    sites, ends = site_roster(opened, roster), _ending(opened)
    checked = look_at(opened, read, sites, study_text(study))
    missing: RecordsError | None = None
    try:
        rehearsal = rehearse(opened, read, checked.plan)
        checked = with_rehearsal(checked, rehearsal, study_text(study))
    except RecordsError as error:
        rehearsal, missing = None, error
    if as_json:
        typer.echo(
            json.dumps(
                {
                    **checked.facts,
                    "epsilon_left": checked.epsilon_left,
                    "budget_is_enough": checked.enough,
                    "refused": [each.facts() for each in checked.against],
                    "dry_run": None if rehearsal is None else rehearsal.facts(),
                    "policy_unsigned": list(checked.unsigned),
                    "warnings": ends,
                },
                ensure_ascii=False,
            )
        )
    else:
        typer.echo(check_text(checked, rehearsal, language))
        for line in ends:
            typer.echo(f"warning: {line}")
    examine(opened, read, sites, unsafe=())
    require_budget(opened, checked.plan)
    if missing is not None:
        raise missing
    if rehearsal is not None:
        require_within_cap(read, rehearsal.cohort)
    for stands in checked.against:
        raise PolicyForbids(stands.finding.en, where=f"policy.toml {stands.finding.policy}")


def approve(
    home: Home,
    study: StudyFile,
    roster: RosterFile,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day of the approval.")
    ] = None,
    partition: Annotated[
        list[str] | None, typer.Option(help="Count and charge people of this year only; repeat it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Approve a study as this site's officer: freezes the cohort and signs for exactly this study and roster.

    From then on this site answers the study's planned releases, and nothing else. A changed study, roster
    or policy needs a new approval. Where the policy asks for four eyes, a second person signs next
    (`fedvalue site countersign`), and nothing is answered before.
    """
    opened, read = open_home(home), signed_study(home, study)
    try:
        approval, snapshot = approve_study(
            opened,
            read,
            site_roster(opened, roster),
            unsafe=(),
            until=None if until is None else until.date(),
            partitions=tuple(partition or ()),
        )
    except FedValueError as error:
        log = AuditLog(opened.audit_file, opened.clock)
        log.write("approval refused", study=study_file.digest(read), code=error.code)
        raise
    if as_json:
        typer.echo(approval.model_dump_json())
        return
    ends = "" if approval.until is None else f", until {approval.until}"
    typer.echo(
        f"approved {approval.study_hash} on {approval.day}{ends}, rows frozen ({snapshot.content[:16]})"
    )
    if opened.policy.four_eyes:
        typer.echo("next: a second person runs `fedvalue site countersign`; until then nothing is answered")


def countersign(
    home: Home,
    study: StudyFile,
    key: Annotated[Path, typer.Option(help="Key of a person with the office 'second'.")],
    language: Tongue = "en",
) -> None:
    """Add the second signature to an approval; the site answers from then on."""
    opened = open_home(home)
    signed = countersign_study(opened, study_file.digest(study_file.load(study)), _key(key))
    told = f"已复核签名 {signed.study_hash}" if language == "zh" else f"countersigned {signed.study_hash}"
    typer.echo(told)


def revoke(home: Home, study: StudyFile) -> None:
    """Take the approval of a study back: from now on this site does not answer it.

    What was released stays released and charged. Before the first release the frozen rows are removed too.
    What the study reserved stays set aside; `fedvalue site ledger close` frees it, for good.
    """
    removed = withdraw_study(open_home(home), study_file.digest(study_file.load(study)))
    typer.echo("withdrawn; " + ("the frozen rows are removed" if removed else "the frozen rows stay"))


def withdraw(home: Home, study: StudyFile) -> None:
    """The same as revoke."""
    revoke(home, study)


def consent(
    home: Home,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="CSV (patient_id, day, said, scope), or FHIR Consent as NDJSON."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Note what patients said of the use of their records, and show how many did; none of it leaves.

    A CSV file says consents, objects or withdraws, of research or of one study by its id; of FHIR R4, Consent
    resources of the scope research count (.ndjson, .ndjson.gz). The latest word counts. Who is not in is left
    out when a cohort is frozen; a row that is frozen already goes if its study has released nothing yet, and
    the officer signs what is left. Ids are the hospital's own, and are kept as keyed hashes.

    Example: fedvalue site consent HOME --from withdrawals.csv
    """
    from fedvalue.client.governance.consent import read_words
    from fedvalue.client.governance.fhir_consent import read_consents
    from fedvalue.client.governance.withdrawals import counts, take_words

    opened, skipped = open_home(home), dict[str, int]()
    today = opened.clock().date()
    if source is None:
        found = counts(opened)
    elif ".ndjson" in source.name:
        read = read_consents(source, today)
        found, skipped = take_words(opened, read.words), dict(read.skipped)
    else:
        found = take_words(opened, read_words(source, today))
    if as_json:
        facts = {"people": found.people, "out": found.out, "removed": dict(found.removed)}
        typer.echo(json.dumps({**facts, "skipped": skipped} if skipped else facts))
        return
    for reason, resources in skipped.items():
        typer.echo(f"{resources} resources say nothing here: {reason}")
    typer.echo(f"{found.people} people on record, {found.out} of them out of all research (stays here)")
    for study, rows in found.removed.items():
        typer.echo(f"{rows} frozen rows were taken out of {study[:16]}")


def person(
    name: Annotated[str, typer.Option(help="Who.")],
    role: Annotated[PersonRole, typer.Option(help="second, system, security or audit.")],
    key: Annotated[Path, typer.Option(help="Where the key is made; the person keeps it.")],
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase.")] = False,
) -> None:
    """Make the key of somebody with an office, and print the lines for policy.toml.

    `second` countersigns approvals, `security` signs the policy, `audit` seals the audit log, and `system`
    runs the machine and signs nothing. One key has one office.
    """
    made = make_key(key, new_passphrase(f"the key of {name}") if passphrase else None)
    typer.echo(f"[[people]]\nname = {quoted(name)}\nrole = {quoted(role)}\nkey = {quoted(public_hex(made))}")


@policy_app.command("sign")
def sign_policy(home: Home, key: KeyFile = None) -> None:
    """Sign policy.toml as it stands as a new version; the versions before are kept.

    The security administrator signs where the version before names one, else the officer; an approval by the
    officer signs it as well. While a change is not signed, nothing is answered.
    """
    from fedvalue.client.governance.versions import sign_policy as sign_version

    opened = open_home(home)
    made = sign_version(opened, opened.officer_key() if key is None else _key(key))
    typer.echo("nothing changed" if made is None else f"signed version {made.number}, {made.digest}")


@policy_app.command("show")
def show_policy(
    home: Home,
    version: Annotated[int | None, typer.Option(help="Print this version's text.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the signed versions after checking the whole history, and what was changed since the last one."""
    from fedvalue.client.governance.versions import changes, standing

    opened = open_home(home)
    found = standing(opened)
    listed = [
        {
            "version": each.number,
            "day": str(each.day),
            "digest": each.digest,
            "signed_by": "" if each.signature is None else each.signature.public_key,
        }
        for each in found.versions
    ]
    if version is not None:
        if not 1 <= version <= len(found.versions):
            raise SignatureInvalid(f"there is no version {version}", where=str(home / "policy"))
        typer.echo(found.versions[version - 1].text, nl=False)
    elif as_json:
        typer.echo(json.dumps({"versions": listed, "signed": found.signed}))
    else:
        for each in listed:
            typer.echo(
                f"{each['version']:>4}  {each['day']}  {each['digest']}  by {str(each['signed_by'])[:16]}"
            )
        if not found.signed:
            typer.echo("policy.toml as it stands is not signed; it differs by")
            for line in changes(opened, found.versions):
                typer.echo(f"  {line}")


def signed_study(home: Path, path: Path) -> Study:
    """Read a study and its signature beside it; who may sign is the policy's business.

    Raises:
      SignatureInvalid: there is no signature, or it is of something else.
      PolicyForbids: it is signed by somebody whose studies are not looked at.
    """
    read = study_file.load(path)
    policy = open_home(home).policy
    target = path.with_name(path.name + ".sig")
    try:
        signature = Signature.model_validate_json(target.read_bytes())
    except FileNotFoundError as error:
        raise SignatureInvalid(
            "the study is not signed", where=str(target), do="ask its author to run `fedvalue study sign`"
        ) from error
    except (OSError, ValidationError) as error:
        raise SignatureInvalid(
            "the signature file cannot be read", where=str(target), do="ask the study's author for it again"
        ) from error
    if signature.role != "study":
        raise SignatureInvalid("the signature is not one of a study", where=str(target))
    verify(statements.study_statement(study_file.digest(read)), signature, where=str(target))
    if policy.study_signers and signature.public_key not in policy.study_signers:
        raise PolicyForbids(
            "the study is signed by somebody whose studies are not looked at", where="study_signers"
        )
    return read


def _ending(home: SiteHome) -> list[str]:
    """Return what of this site's papers ends soon."""
    return [] if home.policy.simulation else list(warnings(load_identity(home).endings(), home.clock()))


def _key(path: Path) -> Ed25519PrivateKey:
    return KeyRing(ASK).key(path, f"the key {path.name}")
