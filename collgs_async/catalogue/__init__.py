"""A query becomes a stream of products: the dialogue with an OpenSearch-EO catalogue.

`answers` reads one answer of the server and is the only place that knows the server's field names; `search` asks page
after page.
"""

from collgs_async.catalogue.search import Search

__all__ = ["Search"]
