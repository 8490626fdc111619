"""One HTTP session for catalogue and store: connections, redirects, sign-in, retries and limits."""
