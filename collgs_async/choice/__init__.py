"""From what a user wants to a stream of products: which searches are sent, and what their results go through.

`asking` makes the searches of one query, `identifiers` reads lists of products, and `stream` has the `Choice`: the one
place where products are chosen, whether they are listed, planned or pulled.
"""

from __future__ import annotations

from collgs_async.choice.identifiers import read_identifiers
from collgs_async.choice.stream import Choice

__all__ = ["Choice", "read_identifiers"]
