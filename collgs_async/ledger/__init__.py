"""The ledger of a folder: what is known of each product, and what has happened to it. It makes no requests."""
