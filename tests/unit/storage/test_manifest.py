"""The members of an archive beside what the product's own manifest states of them."""

from __future__ import annotations

import hashlib
import tracemalloc
import zipfile
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.demo.archives import write_archive
from collgs_async.demo.scenes import make_scenes
from collgs_async.errors import IntegrityError
from collgs_async.models.progress import SilentProgress
from collgs_async.storage.audit import verify_folder
from collgs_async.storage.manifest import LARGEST_MANIFEST, parse_manifest
from collgs_async.storage.verify import DamagedMembersError, Level, ManifestError, Verdict, verify_archive
from collgs_async.storage.verify_tree import verify_tree
from collgs_async.storage.zip_directory import read_members
from tests.support.archives import Entry, written
from tests.support.trees import ID, extracted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collgs_async.demo.scenes import Scene

BAND, METADATA = b"band " * 40_000, b"<metadata/>"
FILES = {"GRANULE/B02.jp2": BAND, "MTD.xml": METADATA}


def digest_of(data: bytes, algorithm: str = "SHA3-256") -> str:
    return hashlib.new(algorithm.lower().replace("sha3-", "sha3_").replace("sha-", "sha"), data).hexdigest()


def entry(location: str, *checksums: tuple[str, str], size: object = "", tag: str = "fileLocation") -> str:
    """One file as a manifest has it."""
    stated = "".join(f"<checksum checksumName={quoteattr(name)}>{digits}</checksum>" for name, digits in checksums)
    return (
        f'<dataObject ID="a"><byteStream mimeType="text/xml" size="{size}">'
        f'<{tag} locatorType="URL" href={quoteattr(location)}/>{stated}</byteStream></dataObject>'
    )


def document(*entries: str, before: str = '<?xml version="1.0" encoding="UTF-8"?>', root: str = "xfdu:XFDU") -> bytes:
    space = 'xmlns:xfdu="urn:ccsds:schema:xfdu:1"'
    return f"{before}<{root} {space}><dataObjectSection>{''.join(entries)}</dataObjectSection></{root}>".encode()


def right(algorithm: str = "SHA3-256") -> bytes:
    """The manifest of `FILES`."""
    return document(*(entry(f"./{name}", (algorithm, digest_of(data, algorithm))) for name, data in FILES.items()))


def write(path: Path, manifest: bytes | None, files: dict[str, bytes] | None = None, top: str = "P.SAFE/") -> Path:
    """Write an archive whose manifest is its last member, as some are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{top}GRANULE/", b"")
        for name, data in (FILES if files is None else files).items():
            archive.writestr(f"{top}{name}", data)
        if manifest is not None:
            archive.writestr(f"{top}{'xfdumanifest.xml' if top.endswith('SEN3/') else 'manifest.safe'}", manifest)
    return path


def verify(path: Path) -> Verdict:
    return verify_archive(path, manifest=True)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA3-256", "SHA-1", "SHA-256", "sha512", "Sha3-512"])
@pytest.mark.parametrize("spelling", [str, str.upper, "\n  {} \t".format])
@pytest.mark.parametrize("top", ["P.SAFE/", "P.SEN3/", "", "a/b/P.SAFE/"])
def test_a_product_as_its_manifest_states_is_right(
    tmp_path: Path, algorithm: str, spelling: Callable[[str], str], top: str
) -> None:
    entries = [entry(name, (algorithm, spelling(digest_of(data, algorithm)))) for name, data in FILES.items()]
    more = {**FILES, "support/s1.xsd": b"not in any manifest of Sentinel-1"}

    verdict = verify(write(tmp_path / "a.zip", document(*entries), more, top))

    assert (2, 1, True, (), ()) == (
        verdict.compared, verdict.unlisted, verdict.has_manifest, verdict.warnings, verdict.notes,
    )  # fmt: skip


@pytest.mark.parametrize("algorithm", ["MD5", "SHA3-256"])
def test_a_member_with_another_digest_is_damaged_though_its_crc_is_right(tmp_path: Path, algorithm: str) -> None:
    path = write(tmp_path / "a.zip", right(algorithm), {**FILES, "GRANULE/B02.jp2": BAND[:-1] + b"!"})

    assert verify_archive(path) == Verdict()
    with pytest.raises(DamagedMembersError, match=r"1 of 4 members .*B02.jp2' \(its (MD5|SHA3-256) is \w{16}…, m"):
        verify(path)


@pytest.mark.parametrize("digits", ["0" * 64, "zzz", "ü", "0" * 5000, "x\x7fy"])
def test_digits_that_are_none_are_not_those_of_the_member(tmp_path: Path, digits: str) -> None:
    with pytest.raises(DamagedMembersError, match=r"manifest.safe states '[^']{1,100}'") as caught:
        verify(write(tmp_path / "a.zip", document(entry("MTD.xml", ("SHA3-256", digits)))))

    assert str(caught.value).isprintable()


def test_of_several_digests_each_must_be_right(tmp_path: Path) -> None:
    both = [("MD5", digest_of(METADATA, "MD5")), ("SHA3-256", digest_of(METADATA))]
    for lie in (None, 0, 1):
        stated = [(name, "0" * len(digits) if lie == place else digits) for place, (name, digits) in enumerate(both)]
        path = write(tmp_path / "a.zip", document(entry("MTD.xml", *stated)))
        if lie is None:
            assert 1 == verify(path).compared
        else:
            with pytest.raises(DamagedMembersError, match=f"its {both[lie][0]} is"):
                verify(path)


def test_two_entries_of_a_file_must_both_be_right(tmp_path: Path) -> None:
    good = ("MD5", digest_of(METADATA, "MD5"))
    with pytest.raises(DamagedMembersError, match="its MD5 is"):
        verify(write(tmp_path / "a.zip", document(entry("MTD.xml", good), entry("./MTD.xml", ("MD5", "0" * 32)))))


@pytest.mark.parametrize(
    "location",
    [
        "./MTD.xml",
        "MTD.xml",
        "GRANULE/../MTD.xml",
        "./%4dTD.xml",
        "file:MTD.xml",
        "file:./MTD.xml",
        ".\\MTD.xml",
        "././MTD.xml",
    ],
)
def test_a_location_is_found_however_it_is_written(tmp_path: Path, location: str) -> None:
    path = write(tmp_path / "a.zip", document(entry(location, ("MD5", digest_of(METADATA, "MD5")))))

    assert 1 == verify(path).compared


def test_a_name_that_looks_encoded_is_taken_as_it_is(tmp_path: Path) -> None:
    files = {"a%20b.xml": b"one", "a b.xml": b"two"}
    entries = [entry(name, ("MD5", digest_of(data, "MD5"))) for name, data in files.items()]

    assert 2 == verify(write(tmp_path / "a.zip", document(*entries), files)).compared


@pytest.mark.parametrize(
    "location",
    [
        "../outside", "./../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "file:/etc/passwd", "http://host/MTD.xml",
        "..", ".", "", "C:\\MTD.xml", "..\\MTD.xml", "%2e%2e/MTD.xml", "GRANULE/../../MTD.xml", "//host/MTD.xml",
    ],
)  # fmt: skip
def test_a_location_outside_of_the_product_is_said_and_never_opened(tmp_path: Path, location: str) -> None:
    (tmp_path / "outside").write_bytes(METADATA)
    ours = ("MD5", digest_of(METADATA, "MD5"))

    with pytest.raises(ManifestError, match=r"lists 1 file (outside of it|that the archive does not have): "):
        verify(write(tmp_path / "a.zip", document(entry(location, ours), entry("MTD.xml", ours))))


def test_what_is_missing_is_named_and_the_rest_counted(tmp_path: Path) -> None:
    absent = [entry(f"./B{number:02}.jp2", ("MD5", "0" * 32)) for number in range(1, 13)]

    with pytest.raises(ManifestError) as caught:
        verify(write(tmp_path / "a.zip", document(*absent)))

    found = "'./B01.jp2', './B02.jp2', './B03.jp2' and 9 more"
    assert f"its manifest.safe lists 12 files that the archive does not have: {found}" == str(caught.value)


def test_what_is_missing_is_told_beside_what_is_damaged(tmp_path: Path) -> None:
    entries = [entry("MTD.xml", ("MD5", "0" * 32)), entry("B99.jp2", ("MD5", "0" * 32))]

    with pytest.raises(DamagedMembersError, match=r"MTD.xml.*; its manifest.safe lists 1 file that .*: 'B99.jp2'$"):
        verify(write(tmp_path / "a.zip", document(*entries)))


@pytest.mark.parametrize("top", ["P.SAFE/", "P.SEN3/"])
def test_a_product_without_its_manifest_is_not_right(tmp_path: Path, top: str) -> None:
    path = write(tmp_path / "a.zip", None, top=top)

    assert Verdict() == verify_archive(path)
    with pytest.raises(ManifestError, match=r"it has no manifest, manifest.safe or xfdumanifest.xml"):
        verify(path)


def test_other_archives_have_none_and_say_so(tmp_path: Path) -> None:
    verdict = verify(write(tmp_path / "a.zip", None, top=""))

    assert ("it has no manifest to compare its members with",) == verdict.notes
    assert not verdict.has_manifest


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
UNREADABLE = {
    "nothing": (b"", "no XML: no element found"),
    "text": (b"no XML at all", "no XML"),
    "cut short": (right()[:-20], "no XML"),
    "zeros": (bytes(5000), "no XML"),
    "HTML": (b"<html><body>Sign in</body></html>", "expected the element XFDU, found 'html'"),
    "hostile root": (b"<a\xc2\x85\xe2\x80\xae/>", "no XML"),
    "a document type": (document(before="<!DOCTYPE XFDU>"), "it has a document type"),
    "entities": (document("&i;", before=f"{BOMB}]>"), "it has a document type"),
    "an external entity": (document("&x;", before='<!DOCTYPE a [<!ENTITY x SYSTEM "/etc/passwd">]>'), "document type"),
    "a parameter entity": (document(before='<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">'), "it has a document type"),
    "an unknown entity": (document("&nbsp;"), "no XML: undefined entity"),
    "an unknown encoding": (document(before='<?xml version="1.0" encoding="x-unknown"?>'), "no XML"),
    "an encoding of several bytes": (document(before='<?xml version="1.0" encoding="shift_jis"?>'), "no XML"),
    "many digests": (document(entry("MTD.xml", *[("MD5", "0" * 32)] * 17)), "more than 16 digests of one file"),
    "many entries": (document(*(entry("MTD.xml", ("x", f"{n}")) for n in range(20))), "more than 16 digests"),
    "a deep one": (document("<a>" * 101 + "</a>" * 101), "more than 100 elements within each other"),
    "many names": (document(*(f"<a{n} b{n}=''/>" for n in range(1001))), "more than 2000 names of elements"),
    "many locations": (document("<byteStream>", '<fileLocation href="a"/>' * 101, "</byteStream>"), "100 locations"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_manifest_that_cannot_be_read_is_not_right(tmp_path: Path, kind: str) -> None:
    manifest, words = UNREADABLE[kind]

    with pytest.raises(ManifestError, match=f"its manifest.safe cannot be read: .*{words}") as caught:
        verify(write(tmp_path / "a.zip", manifest))

    assert str(caught.value).isprintable()


def test_a_manifest_that_lists_nothing_is_not_right(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"its manifest\.safe lists no file"):
        verify(write(tmp_path / "a.zip", document()))


def test_a_manifest_in_utf_16_is_read(tmp_path: Path) -> None:
    text = right().decode().replace("UTF-8", "UTF-16").encode("utf-16")

    assert 2 == verify(write(tmp_path / "a.zip", text)).compared


def test_a_damaged_manifest_is_a_damaged_member(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", right())
    last = read_members(path).members[-1]
    data = bytearray(path.read_bytes())
    data[last.header + 60] ^= 1
    path.write_bytes(data)

    with pytest.raises(DamagedMembersError, match=r"1 of 4 members damaged: 'P.SAFE/manifest.safe'.*cannot be read"):
        verify(path)


@pytest.mark.parametrize("flags", [1, 0])
def test_a_manifest_that_cannot_be_unpacked_compares_nothing(tmp_path: Path, flags: int) -> None:
    entries = [Entry(b"P.SAFE/MTD.xml", METADATA), Entry(b"P.SAFE/manifest.safe", right(), 0 if flags else 9, flags)]
    (tmp_path / "a.zip").write_bytes(written(entries))

    with pytest.raises(ManifestError, match=r"cannot be read: it uses (encryption|Deflate64 \(method 9\))"):
        verify(tmp_path / "a.zip")


def test_what_states_no_known_digest_is_counted_and_not_called_compared(tmp_path: Path) -> None:
    entries = [entry("MTD.xml", ("WHIRLPOOL\x85", "00"), size=len(METADATA)), entry("GRANULE/B02.jp2", ("MD5", " "))]

    verdict = verify(write(tmp_path / "a.zip", document(*entries)))

    assert 0 == verdict.compared
    assert [
        "its manifest states no digest of 1 member, which could not be compared",
        "its manifest states only the digest 'WHIRLPOOL\\x85' of 1 member, which could not be compared",
    ] == sorted(verdict.notes)


def test_without_a_digest_the_length_counts_and_with_one_it_does_not(tmp_path: Path) -> None:
    with pytest.raises(DamagedMembersError, match=r"it has 11 bytes, manifest\.safe states 12"):
        verify(write(tmp_path / "a.zip", document(entry("MTD.xml", size=12))))

    verdict = verify(
        write(tmp_path / "a.zip", document(entry("MTD.xml", ("MD5", digest_of(METADATA, "MD5")), size=444)))
    )
    assert 1 == verdict.compared


def test_of_two_members_of_a_name_both_are_compared(tmp_path: Path) -> None:
    twice = [Entry(b"P.SAFE/MTD.xml", METADATA), Entry(b"P.SAFE/MTD.xml", b"other")]
    manifest = document(entry("MTD.xml", ("MD5", digest_of(METADATA, "MD5"))))
    (tmp_path / "a.zip").write_bytes(written([*twice, Entry(b"P.SAFE/manifest.safe", manifest)]))

    with pytest.raises(DamagedMembersError, match="1 of 3 members damaged"):
        verify(tmp_path / "a.zip")


def test_a_manifest_deeper_down_is_only_a_file(tmp_path: Path) -> None:
    files = {**FILES, "old/manifest.safe": document(entry("gone", ("MD5", "0" * 32)))}

    verdict = verify(write(tmp_path / "a.zip", right(), files))

    assert (2, 1) == (verdict.compared, verdict.unlisted)


def test_the_memory_for_a_hostile_manifest_is_bounded(tmp_path: Path) -> None:
    """A megabyte of an archive may unpack to a thousand; what no member has is counted, and forgotten."""
    absent = entry("x" * 900, ("MD5", "0" * 32)).encode() * 10_000
    manifest = document().replace(b"<dataObjectSection>", b"<dataObjectSection>" + absent)
    path = write(tmp_path / "a.zip", manifest)
    huge = write(tmp_path / "b.zip", manifest.replace(absent, absent + b" " * LARGEST_MANIFEST))
    del absent, manifest

    tracemalloc.start()
    try:
        with pytest.raises(ManifestError, match="lists 10000 files"):
            verify(path)
        with pytest.raises(ManifestError, match="it has more than 16777216 bytes"):
            verify(huge)
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=400), st.integers(0, 400), st.integers(0, 400))
def test_any_bytes_are_a_manifest_or_an_error(noise: bytes, first: int, length: int) -> None:
    text = right()
    mangled = text[:first] + noise + text[first + length :]
    with suppress(IntegrityError):
        found = list(parse_manifest([mangled[:50], mangled[50:]]))
        assert all(digest.digits for one in found for digest in one.digests)


@pytest.mark.parametrize("size", [2_000, 4_096, 50_000, 3_000_000])
@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("scene", make_scenes(6)[::2], ids=lambda scene: scene.identifier[:10])
def test_archives_of_the_demo_have_manifests(tmp_path: Path, scene: Scene, deflated: bool, size: int) -> None:
    path = tmp_path / "a.zip"
    write_archive(replace(scene, size=size, deflated=deflated), path)

    verdict = verify(path)

    members = len(read_members(path).members)
    assert (members - 1, 0, True) == (verdict.compared, verdict.unlisted, verdict.has_manifest)
    assert path.stat().st_size == size


class TestTrees:
    def archive(self, manifest: bytes) -> bytes:
        files = {**FILES, "manifest.safe": manifest}
        return written([Entry(f"P.SAFE/{name}".encode(), data, 8) for name, data in files.items()])

    def test_the_files_that_are_here_are_compared(self, tmp_path: Path) -> None:
        names = ["P.SAFE/manifest.safe", "P.SAFE/GRANULE/B02.jp2"]
        tree, _ = extracted(tmp_path, self.archive(right()), names)

        verdict = verify_tree(tree.folder, manifest=True)

        assert (1, True) == (verdict.compared, verdict.has_manifest)

    def test_a_file_that_was_damaged_before_it_was_packed_is_found(self, tmp_path: Path) -> None:
        manifest = right().replace(digest_of(BAND).encode(), b"0" * 64)
        tree, _ = extracted(tmp_path, self.archive(manifest))

        verify_tree(tree.folder)
        with pytest.raises(DamagedMembersError, match=r"1 of 3 members damaged: .*B02.jp2' \(its SHA3-256 is"):
            verify_tree(tree.folder, manifest=True)

    def test_a_file_that_neither_tree_nor_archive_has_is_said(self, tmp_path: Path) -> None:
        manifest = document(entry("B99.jp2", ("MD5", "0" * 32)), entry("MTD.xml", ("MD5", digest_of(METADATA, "MD5"))))
        tree, _ = extracted(tmp_path, self.archive(manifest), ["P.SAFE/manifest.safe"])

        with pytest.raises(ManifestError, match=r"lists 1 file that the archive does not have: 'B99\.jp2'"):
            verify_tree(tree.folder, manifest=True)

    def test_without_the_manifest_nothing_is_compared_and_that_is_said(self, tmp_path: Path) -> None:
        tree, _ = extracted(tmp_path, self.archive(right()), ["P.SAFE/MTD.xml"])

        verdict = verify_tree(tree.folder, manifest=True)

        assert "the archive's manifest is not here: nothing was compared with it" in verdict.notes
        assert (0, False) == (verdict.compared, verdict.has_manifest)

    def test_a_link_in_the_place_of_the_manifest_is_not_followed(self, tmp_path: Path) -> None:
        tree, _ = extracted(tmp_path, self.archive(right()))
        place = tree.folder / "P.SAFE" / "manifest.safe"
        place.rename(tmp_path / "elsewhere")
        place.symlink_to(tmp_path / "elsewhere")

        with pytest.raises(DamagedMembersError, match=r"manifest\.safe"):
            verify_tree(tree.folder, manifest=True)


async def test_the_audit_counts_what_was_compared(tmp_path: Path) -> None:
    write(tmp_path / "A.zip", right(), {**FILES, "more": b""}, f"{ID}.SAFE/").rename(tmp_path / f"{ID}_1.zip")
    write(tmp_path / "B.zip", right("MD5"), top=f"{ID}.SEN3/").rename(tmp_path / f"{ID}.zip")

    audit = await verify_folder(tmp_path, Level.CRC, SilentProgress(), manifest=True)

    assert str(audit).endswith(", all of them right; 4 members as the manifests state, 1 not listed there")
    write(tmp_path / "C.zip", None, top="")
    audit = await verify_folder(tmp_path, Level.CRC, SilentProgress(), manifest=True)
    assert audit.ok
    assert "none of them bad; " in str(audit)
    assert str(audit).endswith("; 4 members as the manifests state, 1 not listed there; 1 without a manifest")
    audit = await verify_folder(tmp_path, Level.CRC, SilentProgress())
    assert "manifest" not in str(audit)
