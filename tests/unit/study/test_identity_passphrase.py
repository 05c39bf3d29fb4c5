"""Keys under a passphrase: they open with it only, other tools open them too, and no message repeats it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from fedvalue.errors import OutputError, PassphraseWrong
from fedvalue.study.keys import load_key, make_key, write_new
from fedvalue.study.passphrase import locked_pem
from fedvalue.study.signature import public_hex
from tests.agreement import key

WORDS = "vier Wörter genügen hier".encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "site.pem"


def test_a_locked_key_opens_with_its_passphrase_only(path: Path) -> None:
    made = make_key(path, WORDS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert public_hex(load_key(path, WORDS)) == public_hex(made)
    for wrong in (None, b"", b"another", WORDS + b" ", WORDS[:-1]):
        with pytest.raises(PassphraseWrong) as refused:
            load_key(path, wrong)
        assert refused.value.code == "passphrase_wrong"


def test_a_wrong_passphrase_is_never_repeated(path: Path) -> None:
    make_key(path, WORDS)
    guess = b"confidential"
    with pytest.raises(PassphraseWrong, match="does not open") as refused:
        load_key(path, guess)
    assert "confidential" not in "".join(traceback.format_exception(refused.value))


def test_a_passphrase_for_an_open_key_is_refused(path: Path) -> None:
    make_key(path)
    with pytest.raises(PassphraseWrong, match="under no passphrase"):
        load_key(path, WORDS)


def test_an_empty_passphrase_locks_nothing_and_makes_no_key(path: Path) -> None:
    with pytest.raises(PassphraseWrong, match="locks nothing"):
        make_key(path, b"")
    assert not path.exists()


def test_a_damaged_locked_key_is_refused_as_ours(path: Path) -> None:
    pem = locked_pem(key("a"), WORDS)
    for damaged in (pem[:100], pem.replace(b"\nM", b"\nN", 1), pem[:-60] + pem[-40:]):
        path.unlink(missing_ok=True)
        write_new(path, damaged, mode=0o600, what="the key")
        with pytest.raises(PassphraseWrong):
            load_key(path, WORDS)


def test_two_locks_of_one_key_share_nothing() -> None:
    one, two = (locked_pem(key("a"), WORDS).splitlines()[1:-1] for _ in range(2))
    assert set(one).isdisjoint(two)


def test_a_key_that_another_tool_locked_opens(path: Path) -> None:
    pem = key("a").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(WORDS))
    write_new(path, pem, mode=0o600, what="the key")
    assert public_hex(load_key(path, WORDS)) == public_hex(key("a"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl on this machine")
def test_openssl_opens_a_locked_key(path: Path) -> None:
    made = make_key(path, b"four words will do")
    found = subprocess.run(
        ["openssl", "pkey", "-in", str(path), "-passin", "stdin", "-pubout", "-outform", "DER"],
        input=b"four words will do\n",
        capture_output=True,
        check=True,
    )
    assert found.stdout.endswith(made.public_key().public_bytes_raw())


def test_a_file_that_is_there_is_kept(path: Path) -> None:
    write_new(path, b"kept", mode=0o600, what="the key")
    with pytest.raises(OutputError, match="the key cannot be written"):
        write_new(path, b"other", mode=0o600, what="the key")
    assert path.read_bytes() == b"kept"


def test_a_disk_that_is_full_leaves_no_half_of_a_key(path: Path) -> None:
    # in a process of its own whose files may hold 50 bytes: the kernel refuses the rest of the key
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from fedvalue.errors import OutputError; from fedvalue.study.keys import make_key\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))\n"
        "try: make_key(Path(sys.argv[1]))\n"
        "except OutputError: sys.exit(7)\n"
    )
    found = subprocess.run([sys.executable, "-c", script, str(path)], check=False, env=dict(os.environ))
    assert found.returncode == 7
    assert not path.exists()
