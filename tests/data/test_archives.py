"""`ptv2 prepare` on archives that somebody made: whatever is wrong is one line, and nothing is written anywhere."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import resource
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ptv2.cli import main
from ptv2.data.prepare import archives

TEXT = b"-DOCSTART- -X- O O\n\nAnn NNP I-NP I-PER\nleft VBD I-VP O\n\n"
NAMES = ("eng.train", "eng.testa", "eng.testb")
PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tgz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
}


def tar(*more: tarfile.TarInfo, files: dict[str, bytes] | None = None, names: tuple[str, ...] = NAMES) -> bytes:
    """A tar archive of the three files, or of `files`, behind the members `more`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in more:
            archive.addfile(member)
        for name, text in (dict.fromkeys(names, TEXT) if files is None else files).items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return buffer.getvalue()


def member(name: str, kind: bytes, to: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, to
    return made


def prepare(base: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and what is said; a mistake is one line, and leaves no file."""
    made = base.parent / "made" / "files"
    before = sorted(base.parent.rglob("*"))
    code = main(["prepare", "conll03", "--from", str(base), "--to", str(made), "--allow-mismatch"])
    said = capsys.readouterr()
    if code == 0:
        assert sorted(path.name for path in made.iterdir()) == ["dev.txt", "test.txt", "train.txt"]
        assert (made / "dev.txt").read_text() == "Ann B-PER\nleft O\n\n"
        return 0, said.err
    assert code == 2, said.err
    assert said.err.count("\n") == 1
    assert len(said.err) <= 320 + len(str(base))
    assert sorted(base.parent.rglob("*")) == before
    return code, said.err.removeprefix("ptv2: error: ")


@pytest.mark.parametrize("ending", [*PACKED, ".zip"])
def test_kinds_of_archives(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "given" / f"conll{ending}"
    path.parent.mkdir()
    if ending == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in NAMES:
                archive.writestr(f"ner/{name}", TEXT)
    else:
        path.write_bytes(PACKED[ending](tar()))
    assert prepare(path.parent, capsys)[0] == 0, "in a folder"
    assert prepare(path, capsys)[0] == 0, "the archive itself"


@pytest.mark.parametrize("ending", [*PACKED, ".zip"])
def test_every_damage_is_seen(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cut anywhere, or a byte altered anywhere, where the format has checksums."""
    path = tmp_path / f"conll{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in NAMES:
                archive.writestr(name, TEXT)
    else:
        path.write_bytes(PACKED[ending](tar()))
    content = path.read_bytes()
    for length in range(0, len(content), max(1, len(content) // 40)):
        path.write_bytes(content[:length])
        end = length >= 3 * 1024 and ending == ".tar"  # only zeros are missing
        assert end or prepare(path, capsys)[0] == 2, length
    if ending == ".tar":
        return
    wrong = 0
    for place in range(0, len(content), max(1, len(content) // 120)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        wrong += prepare(path, capsys)[0] == 2  # else it is read as it was, which `prepare` asserts
    assert wrong > 60


def test_a_damaged_header_is_not_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray(tar(files={**dict.fromkeys(NAMES, TEXT), "more": b"x"}))
    place = content.index(b"more")
    content[place] ^= 1
    path = tmp_path / "conll.tar"
    path.write_bytes(content)
    assert "conll.tar: expected a whole archive" in prepare(path, capsys)[1]


@pytest.mark.parametrize(
    "odd",
    [
        member("eng.train", tarfile.SYMTYPE, "nowhere"),
        member("eng.train", tarfile.SYMTYPE, "eng.train"),
        member("eng.train", tarfile.SYMTYPE, "/etc/passwd"),
        member("eng.train", tarfile.SYMTYPE, "../../../etc/passwd"),
        member("eng.train", tarfile.LNKTYPE, "nowhere"),
        member("eng.train", tarfile.LNKTYPE, "eng.train"),
        member("eng.train", tarfile.LNKTYPE, "/etc/passwd"),
    ],
    ids=lambda odd: f"{odd.type!r} {odd.linkname}",
)
def test_links_that_lead_nowhere(odd: tarfile.TarInfo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "conll.tar"
    path.write_bytes(tar(odd, names=NAMES[1:]))
    assert prepare(path, capsys)[1] == f"{path}/eng.train: a link to no file of the archive\n"


def test_a_link_to_a_file_of_the_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "conll.tar.gz"
    link = member("ner/eng.train", tarfile.SYMTYPE, "../eng.testa")
    path.write_bytes(gzip.compress(tar(link, names=NAMES[1:])))
    assert prepare(path, capsys)[0] == 0


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_devices_are_no_files(kind: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "conll.tar"
    path.write_bytes(tar(member("eng.train", kind), names=NAMES[1:]))
    assert "missing eng.train" in prepare(path, capsys)[1]


@pytest.mark.parametrize("folder", ["/", "/tmp/", "../../", "..\\..\\", "C:\\", "a/../../b/"])
def test_names_lead_nowhere(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "conll.tar"
    path.write_bytes(tar(names=tuple(f"{folder}{name}" for name in NAMES)))
    assert prepare(path, capsys)[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"conll.tar", "made"}


def test_archives_of_another_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "conll.tar"
    for content in (b"", b"text\n" * 500, b"PK\3\4", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0", os.urandom(2000), bytes(99)):
        path.write_bytes(content)
        assert "expected a whole archive (.tar, .tar.gz, " in prepare(path, capsys)[1]
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("eng.train")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert prepare(path, capsys)[1] == f"{path}/eng.train: a link; expected a file\n"


def test_small_archives_of_large_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a tar, in a zip, as a .gz, as a file with a hole, as a longer name than any, and as much that nobody wants."""
    large = bytes(archives.MOST + 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = tmp_path / "conll.tar.gz"
    path.write_bytes(gzip.compress(tar(files={"eng.train": large}), 1))
    assert "eng.train: larger than 64 MiB" in prepare(path, capsys)[1]
    path.write_bytes(
        gzip.compress(tar(files={"eng.train.gz": gzip.compress(large, 1), **dict.fromkeys(NAMES[1:], TEXT)}))
    )
    assert "eng.train.gz: larger than 64 MiB" in prepare(path, capsys)[1]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("eng.train", large)
    assert "eng.train: larger than 64 MiB" in prepare(path, capsys)[1]
    name = member("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    name.size = len(large)
    path.write_bytes(gzip.compress(name.tobuf(tarfile.GNU_FORMAT) + large, 1))
    assert "conll.tar.gz: larger than 64 MiB" in prepare(path, capsys)[1]
    monkeypatch.setattr(archives, "MOST_IN_ALL", 2**20)
    path.write_bytes(gzip.compress(tar(files={"unwanted": large, **dict.fromkeys(NAMES, TEXT)}), 1))
    assert "conll.tar.gz: larger than 1 MiB" in prepare(path, capsys)[1]
    path.unlink()
    folder = tmp_path / "folder"
    folder.mkdir()
    with (folder / "eng.train").open("wb") as stream:
        stream.truncate(2**40)
    assert "eng.train: larger than 64 MiB" in prepare(folder, capsys)[1]
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 600 * 1024, "KiB: some copies of what is allowed"


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path) -> None:
    from commandline import run

    path = tmp_path / "conll.tar"
    path.write_bytes(tar(files={**dict.fromkeys(NAMES, TEXT), "eng.testb": TEXT * 300}))
    words = ["prepare", "conll03", "--from", str(path), "--to", str(tmp_path / "made"), "--allow-mismatch"]
    done = run(words, tmp_path / "streams", before=small_files)
    assert done.code == 74
    assert str(tmp_path / "made" / "test.txt") in done.error
    assert not (tmp_path / "made").exists()


def small_files() -> None:
    """No file may have more than 2000 bytes."""
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
