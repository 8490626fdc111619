"""Search an OpenSearch-EO catalogue: turn a query into a stream of products.

Parsing: `reading` decodes JSON, `response` and `entries` map a response to a page of products (the only modules that
know the server's field names), `offers` ranks the download links, `recognition` identifies other kinds of server, and
`compliance` compares a page with the query.

Paging: `search` drives a query, `sizes` finds a page size that the server accepts, `paging` reads a list that changes
meanwhile, `rounds` repeats that until the list is complete, `division` splits long lists into `spans` of sensing time,
and `known` holds what has been read.

Around it: `collections` lists the collections, `description` reads the search parameters a server supports, and
`first_sign_in` logs in before the search when configured to.
"""

from collgs_async.catalogue.collections import list_collections
from collgs_async.catalogue.description import Description, Parameter, find_description
from collgs_async.catalogue.first_sign_in import FirstSignIn
from collgs_async.catalogue.response import Collection
from collgs_async.catalogue.search import Search
from collgs_async.catalogue.sizes import CatalogueHints
from collgs_async.http.requester import Requester

__all__ = [
    "CatalogueHints",
    "Collection",
    "Description",
    "FirstSignIn",
    "Parameter",
    "Requester",
    "Search",
    "find_description",
    "list_collections",
]
