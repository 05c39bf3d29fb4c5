"""The researcher's commands on a study file: check and sign."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fedvalue.errors import OutputError, StudyInvalid
from fedvalue.evidence import statements
from fedvalue.planning.chinese import page_in_chinese
from fedvalue.planning.plan import make_plan, plan_on
from fedvalue.planning.words import in_words, preview
from fedvalue.secure_sum.thresholds import thresholds
from fedvalue.server.dossier_cli import study_dossier
from fedvalue.server.plan_cli import plan_study
from fedvalue.server.run_cli import cancel, logs, run_study, status
from fedvalue.study import circe
from fedvalue.study import file as study_file
from fedvalue.study.identity.clock import present
from fedvalue.study.identity.trust import load_trust
from fedvalue.study.keys import load_key, make_key
from fedvalue.study.roster import Roster, load_roster
from fedvalue.study.signature import fingerprint, public_hex, sign
from fedvalue.study.vocabulary import Vocabulary

study_app = typer.Typer(no_args_is_help=True, help="Check, price, sign and run a study.")
study_app.command("plan")(plan_study)
study_app.command("dossier")(study_dossier)
study_app.command("run")(run_study)
study_app.command("status")(status)
study_app.command("cancel")(cancel)
study_app.command("logs")(logs)

StudyFile = Annotated[Path, typer.Argument(help="The study, a TOML file.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@study_app.command()
def check(
    study: StudyFile,
    sites: Annotated[
        int | None, typer.Option(help="Price it for so many hospitals; default: the study's min_sites.")
    ] = None,
    roster: Annotated[Path | None, typer.Option(help="Price it for exactly this roster.")] = None,
    authority: Annotated[
        Path | None, typer.Option(help="Certificate of the authority that signed the roster.")
    ] = None,
    revocations: Annotated[Path | None, typer.Option(help="The authority's newest revocation list.")] = None,
    as_json: AsJson = False,
    language: Annotated[Literal["en", "zh"], typer.Option(help="Of the words: en or zh.")] = "en",
) -> None:
    """Validate a study and print in words what will be asked, of whom, and at what price.

    Nothing is asked of anybody. A roster that an authority signed is read with its certificate and list, and
    everybody on it must stand today; cards without a signature are priced too, and answer simulations only.
    Exit status 2: the study is not valid, and the message names the key; 4: the roster does not hold.
    """
    read = study_file.load(study)
    if sites is not None and roster is not None:
        raise StudyInvalid("give --sites or --roster, not both", where="command line")
    if roster is not None:
        plan = make_plan(read, _roster(roster, authority, revocations))
    else:
        if sites is not None and sites < read.federation.min_sites:
            raise StudyInvalid(
                f"the study runs on at least {read.federation.min_sites} hospitals",
                where="--sites",
                do="name that many, or lower min_sites",
            )
        limits = thresholds(
            sites or read.federation.min_sites,
            colluding=read.federation.colluding_sites,
            dropouts=read.federation.tolerated_dropouts,
        )
        plan = plan_on(read, limits, hashlib.sha256(b"preview").hexdigest())
    if as_json:
        typer.echo(json.dumps(preview(read, plan), ensure_ascii=False, indent=1))
        return
    typer.echo(page_in_chinese(read, plan) if language == "zh" else in_words(read, plan))


@study_app.command()
def cohort(
    definition: Annotated[
        Path, typer.Argument(help="A cohort definition of ATLAS, exported as JSON.", show_default=False)
    ],
    vocabulary: Annotated[
        Path | None,
        typer.Option(
            help="Folder with CONCEPT.csv and CONCEPT_ANCESTOR.csv, where descendants are asked for."
        ),
    ] = None,
) -> None:
    """Print a cohort definition of OHDSI ATLAS as the cohort table of a study file.

    What has no counterpart in a study is refused by name; nothing is left out silently.
    Exit status 2: it does not map, and the message names what.
    """
    try:
        text = definition.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise StudyInvalid("the definition cannot be read", where=str(definition)) from failure
    below = None if vocabulary is None else Vocabulary(vocabulary).descendants
    typer.echo(circe.to_toml(circe.cohort_of(text, below)), nl=False)


@study_app.command()
def codes(
    file: Annotated[Path, typer.Argument(help="CSV, or one code a line.", show_default=False)],
    name: Annotated[str, typer.Option(help="Of the list in the study.", show_default=False)],
    column: Annotated[
        str | None, typer.Option(help="Column of the codes; without it the first cell of every line.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="With the codes below each, of this vocabulary, such as ICD10CM.")
    ] = None,
    vocabulary: Annotated[
        Path | None,
        typer.Option(
            help="Folder with CONCEPT.csv and CONCEPT_ANCESTOR.csv; without it a wildcard says ICD and ATC."
        ),
    ] = None,
) -> None:
    """Print a list of codes as the codes table of a study file, to be meant there by its name.

    Example: fedvalue study codes egfr.csv --name tki --column atc --system ATC
    """
    from fedvalue.study.code_lists import list_from, to_toml

    looked_up = None if vocabulary is None else Vocabulary(vocabulary)
    typer.echo(to_toml(name, list_from(file, column=column, vocabulary=looked_up, system=system)), nl=False)


def _roster(path: Path, authority: Path | None, revocations: Path | None) -> Roster:
    if (authority is None) != (revocations is None):
        raise StudyInvalid("--authority and --revocations go together", where="command line")
    if authority is None or revocations is None:
        return load_roster(path)
    now = present()
    return load_trust(authority, revocations, now).roster(path, now)


@study_app.command("sign")
def sign_study(
    study: StudyFile,
    key: Annotated[Path, typer.Option(help="Your Ed25519 key (PEM, mode 0600); made if it is not there.")],
    as_json: AsJson = False,
) -> None:
    """Sign a study: writes STUDY.toml.sig beside it, over the hash of its canonical form.

    Hospitals check the signature before they look at the study. A changed study needs a new signature.
    """
    read = study_file.load(study)
    signer = load_key(key) if key.exists() else make_key(key)
    study_hash = study_file.digest(read)
    signature = sign(statements.study_statement(study_hash), signer, "study")
    target = study.with_name(study.name + ".sig")
    try:
        target.write_text(signature.model_dump_json() + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", where=str(target)) from error
    who = public_hex(signer)
    if as_json:
        typer.echo(json.dumps({"study_hash": study_hash, "public_key": who, "signature": str(target)}))
    else:
        typer.echo(f"signed {study_hash}\nby key {who} (fingerprint {fingerprint(who)})\nwrote {target}")
