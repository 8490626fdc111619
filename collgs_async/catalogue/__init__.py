"""Search an OpenSearch-EO catalogue: turn a query into a stream of products.

Parsing: `lenient_json` decodes JSON, `response` and `entries` map a response to a page of products (the only modules
that know the server's field names), `offers` ranks the download links, `recognition` identifies other kinds of server,
and `compliance` compares a page with the query.

Paging: `search` drives a query, `page_sizes` finds a page size that the server accepts, `paging` reads a list that
changes meanwhile, `rounds` repeats that until the list is complete, `division` splits long lists into `spans` of
sensing time, and `known` holds what has been read.

Around it: `catalogue` is the front for users of the library, `collections` lists the collections, `description` reads
the search parameters a server supports, and `first_sign_in` logs in before the search when configured to.
"""
