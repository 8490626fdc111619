"""Recognize a login page, which a server sends in the place of a page of results or of an archive."""

from __future__ import annotations

from collgs_async.http.messages import READ_MOST, html_tags, is_html

__all__ = ["is_login_page"]


def is_login_page(body: bytes) -> bool:
    """Whether it is an HTML page with a login form: plain HTML, or built by a Keycloak script."""
    if not is_html(body):
        return False
    text = body[:READ_MOST].decode("utf-8", "replace").lower().replace("<script", "<")  # a script may write the form
    if '"loginaction"' in text:
        return True
    inputs = (tag for name, tag, _ in html_tags(text) if name == "input")
    return any("password" in tag.partition("type")[2][:20] for tag in inputs)
