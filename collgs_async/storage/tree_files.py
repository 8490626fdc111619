"""Read and write the files of a tree without ever leaving it.

Every component of a path is opened relative to the folder before it, and never through a symbolic link, so that neither
a hostile name nor what another user puts into a shared folder leads elsewhere. A file gets its name by a rename, when
it is complete and on the disk.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from collgs_async.errors import FileError
from collgs_async.storage.files import LOST, create_folder, kind_of, open_regular, trouble
from collgs_async.storage.member_names import TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

__all__ = ["TreeFiles", "open_folder"]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_A_FOLDER: Final = frozenset({errno.ENOTDIR, errno.ELOOP, errno.EMLINK})


def open_folder(path: Path, *, within: int | None = None, create: bool = False) -> int:
    """Open a folder, and return its descriptor.

    Parameters
    ----------
    path
        The folder; symbolic links to its parent are followed, but it is none itself.
    within
        Descriptor of its parent; None to find that by the path.
    create
        Whether the folder is created if it is missing.

    Raises
    ------
    FileError
        Something else has its name.
    OSError
        It is missing, or cannot be created or opened.
    """
    name = path if within is None else path.name
    if create:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=within)
    try:
        return os.open(name, _FOLDER, dir_fd=within)
    except OSError as error:
        if error.errno in _NOT_A_FOLDER:
            kind = kind_of(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode) or "a file"
            raise FileError(f"{path}: expected a folder, found {kind}; move it away") from error
        raise


class TreeFiles:
    """The files of one tree; a context manager, to be used by one thread.

    Parameters
    ----------
    folder
        The top folder of the tree.
    create
        Whether it is created if it is missing.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self.folder = folder
        self._create = create
        self._root = -1
        self._changed: set[PurePosixPath] = set()

    def __enter__(self) -> Self:
        """Open the top folder.

        Raises
        ------
        FileNotFoundError
            It is missing, and is not to be created.
        FileError, StorageError
            It is no folder, or cannot be created or opened.
        """
        try:
            if self._create:
                create_folder(self.folder.parent)
            self._root = open_folder(self.folder, create=self._create)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise trouble(error, self.folder, self.folder.parent) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._root)

    @contextmanager
    def trouble(self, path: PurePosixPath) -> Iterator[None]:
        """Convert an OSError about a file of the tree into an exception of this package; see `files.trouble`."""
        try:
            yield
        except OSError as error:
            error.filename = str(self.folder / path)  # with a descriptor, it is the last component only
            raise trouble(error, self.folder / path, self.folder.parent) from error

    @contextmanager
    def _folder(self, path: PurePosixPath, *, create: bool = False) -> Iterator[int]:
        """Open a folder of the tree component by component; yield its descriptor."""
        here, folder = os.dup(self._root), self.folder
        try:
            for component in path.parts:
                folder /= component
                below = open_folder(folder, within=here, create=create)
                os.close(here)
                here = below
            yield here
        finally:
            os.close(here)

    def open(self, path: PurePosixPath) -> int | None:
        """Open a file for reading, and return its descriptor; None if it is missing.

        Raises
        ------
        FileError, StorageError
            It is not a regular file in folders, or cannot be opened.
        """
        with self.trouble(path):
            try:
                with self._folder(path.parent) as folder:
                    return open_regular(self.folder / path, os.O_RDONLY, within=folder)
            except FileNotFoundError:
                return None

    @contextmanager
    def replace(self, path: PurePosixPath) -> Iterator[int]:
        """Write a file, which replaces the one of its name if the block ends without an error.

        Yields
        ------
        int
            Descriptor of the new file, which is empty.

        Raises
        ------
        FileError, StorageError
            Something else than a regular file has its name, or it cannot be written. There is no new file then, not
            even if only the disk's confirmation failed.
        """
        temporary = f".{secrets.token_hex(8)}.part"
        with self.trouble(path):
            with self._folder(path.parent, create=True) as folder:
                self._refuse_odd(path, folder)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(temporary, flags, 0o666, dir_fd=self._root)
        try:
            try:
                yield descriptor
                with self.trouble(path):
                    os.fsync(descriptor)
            finally:
                with self.trouble(path):
                    os.close(descriptor)  # a network file system reports errors here
            with self.trouble(path), self._folder(path.parent, create=True) as folder:
                self._refuse_odd(path, folder)
                os.replace(temporary, path.name, src_dir_fd=self._root, dst_dir_fd=folder)
            self._changed.update(path.parents)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=self._root)
            raise

    def _refuse_odd(self, path: PurePosixPath, folder: int) -> None:
        with suppress(FileNotFoundError):
            if kind := kind_of(os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise FileError(f"{self.folder / path}: expected a file, found {kind}; move it away")

    def modified(self, path: PurePosixPath) -> int | None:
        """Return the time of the last change of a file in nanoseconds since the epoch; None if it is missing.

        Raises
        ------
        FileError, StorageError
            Something else than a folder is on the way to it, or the disk failed.
        """
        with self.trouble(path):
            try:
                with self._folder(path.parent) as folder:
                    return os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mtime_ns
            except FileNotFoundError:
                return None

    def remove_unfinished(self) -> None:
        """Remove files that a killed process had not finished."""
        with self.trouble(PurePosixPath()):
            with os.scandir(self._root) as entries:
                unfinished = [one.name for one in entries if TEMPORARY.fullmatch(one.name)]
            for name in unfinished:
                with suppress(OSError):  # it costs space, and has no other effect
                    os.unlink(name, dir_fd=self._root)

    def sync(self) -> None:
        """Flush the names of all new files to the disk.

        Raises
        ------
        StorageError
            The disk could not store them. A file system without fsync for folders is accepted.
        """
        for path in sorted(self._changed, reverse=True):
            with self.trouble(path):
                try:
                    with self._folder(path) as folder:
                        os.fsync(folder)
                except OSError as error:
                    if error.errno in LOST:
                        raise
        self._changed.clear()

    def paths(self) -> Iterator[PurePosixPath]:
        """Yield the path of everything in the tree that is not a folder, in any order."""
        waiting = [PurePosixPath()]
        while waiting:
            path = waiting.pop()
            with self.trouble(path), self._folder(path) as folder, os.scandir(folder) as entries:
                for entry in entries:
                    below = path / entry.name
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(below)
                    else:
                        yield below
