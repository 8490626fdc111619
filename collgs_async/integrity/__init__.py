"""Are these bytes the product? First bytes, length, whose it is, ZIP structure, and the CRC of each member.

`verify` has the verdict on a file. It asks `zip_directory` what the archive says of its members, `identity` which
product that is, and `zip_members` whether each member is what was said; `unpack` reads their data, `zip_names` their
names.

Everything here is synchronous and reads a file that nobody writes; where that is large, it belongs in a thread. Memory
does not grow with the archive, only with the number of its members.
"""

from collgs_async.integrity.identity import OtherProductError
from collgs_async.integrity.reading import Stopped
from collgs_async.integrity.verify import DamagedMembersError, Level, UnprovenError, Verdict, check, not_a_zip
from collgs_async.integrity.zip_directory import Directory, Member, read_members
from collgs_async.integrity.zip_members import Damage, Findings, Seen, damaged_members

__all__ = [
    "Damage",
    "DamagedMembersError",
    "Directory",
    "Findings",
    "Level",
    "Member",
    "OtherProductError",
    "Seen",
    "Stopped",
    "UnprovenError",
    "Verdict",
    "check",
    "damaged_members",
    "not_a_zip",
    "read_members",
]
