"""A query becomes a stream of products: the dialogue with an OpenSearch-EO catalogue.

`answers` reads one answer of the server and `entries` what it lists: the only places that know the server's field
names. `reading` makes JSON of its bytes, `recognition` knows other servers, `compliance` holds a page against what was
asked, and `offers` puts the links to an archive in order. `inquiry` asks one question until it is answered, and `sizes`
by pages that are not too large; `paging` reads a list while it changes, `rounds` as often as it takes, and `division`
in `spans` of time where it is too long; `known` is what was met. `collections` and `description` ask what there is to
ask; `first_sign_in` comes before all of it where that is wanted.
"""

from collgs_async.catalogue.collections import list_collections
from collgs_async.catalogue.description import Description, Parameter, find_description
from collgs_async.catalogue.first_sign_in import FirstSignIn
from collgs_async.catalogue.response import Collection
from collgs_async.catalogue.search import Search
from collgs_async.catalogue.sizes import Lessons
from collgs_async.http.requester import Requester

__all__ = [
    "Collection",
    "Description",
    "FirstSignIn",
    "Lessons",
    "Parameter",
    "Requester",
    "Search",
    "find_description",
    "list_collections",
]
