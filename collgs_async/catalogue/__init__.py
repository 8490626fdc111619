"""A query becomes a stream of products: the dialogue with an OpenSearch-EO catalogue.

`answers` reads one answer of the server and is the only place that knows the server's field names; `inquiry` asks one
question until it is answered; `search` asks page after page; `collections` and `description` ask what there is to ask.
"""

from collgs_async.catalogue.answers import Collection
from collgs_async.catalogue.collections import list_collections
from collgs_async.catalogue.description import Description, Parameter, find_description
from collgs_async.catalogue.first_sign_in import FirstSignIn
from collgs_async.catalogue.inquiry import Inquiry
from collgs_async.catalogue.search import Lessons, Search

__all__ = [
    "Collection",
    "Description",
    "FirstSignIn",
    "Inquiry",
    "Lessons",
    "Parameter",
    "Search",
    "find_description",
    "list_collections",
]
