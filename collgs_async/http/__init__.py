"""HTTP for catalogue and store: session, connections, redirects, login, retries and limits."""
