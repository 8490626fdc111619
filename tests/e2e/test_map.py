"""The page with map, timeline and table: in a real browser, clicks included, and as text."""

from __future__ import annotations

import base64
import html
import json
import socket
import struct
import zlib
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async import Product, RawTimes
from collgs_async.reporting.map import notebook
from collgs_async.reporting.map.background import Background
from collgs_async.reporting.map.notebook import notebook_html
from collgs_async.reporting.map.outlines import outlines
from collgs_async.reporting.map.page import page
from tests.support.chromium import Browser, Tab, running_chromium
from tools import make_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WEST, MIDDLE, EAST = "S2A_WEST", "S2B_MIDDLE", "S2A_EAST"
ACCENT = (208, 68, 11)
"""What marks a scene that is hovered or chosen, in the light theme."""


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def product(identifier: str, start: str = "2025-06-01T10:00:00Z", **facts: Any) -> Product:
    return Product(identifier, "https://store.example/a.zip", raw=RawTimes(start), **facts)


def row_of_three() -> list[Product]:
    """Make three scenes, side by side and a month apart."""
    return [
        product(WEST, "2025-06-03T10:00:00Z", footprint=box(0, 45, 9, 51), cloud_cover=10.0, size=1_000_000_000),
        product(MIDDLE, "2025-07-03T10:00:00Z", footprint=box(10, 45, 19, 51), cloud_cover=50.0, size=2_000_000_000),
        product(EAST, "2025-08-03T10:00:00Z", footprint=box(20, 45, 29, 51), cloud_cover=90.0, size=500_000_000),
    ]


def many(count: int) -> list[Product]:
    return [
        product(
            f"S2A_{number:05d}",
            f"2024-{number % 12 + 1:02d}-{number % 28 + 1:02d}T10:00:00Z",
            footprint=box(number % 40, 40 + number % 20, number % 40 + 1, 41 + number % 20),
        )
        for number in range(count)
    ]


QUARTERS = [(200, 0, 0), (0, 160, 0), (0, 0, 200), (200, 200, 0)]
"""The upper left, upper right, lower left and lower right quarter of a picture: red, green, blue, yellow."""


def quartered(size: int = 32) -> bytes:
    """Make a picture whose quarters have a colour each."""
    half = size // 2
    upper, lower = (b"\0" + bytes(one) * half + bytes(other) * half for one, other in (QUARTERS[:2], QUARTERS[2:]))
    return png(size, size, upper * half + lower * half, colour=2)


def png(width: int, height: int, rows: bytes | None = None, colour: int = 0) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    rows = (b"\0" + b"\x80" * width) * height if rows is None else rows
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Tab]]:
    """Open a page of products: ``tab = show(products, width=390, area=...)``; nothing may go wrong in it."""

    def open_page(products: Sequence[Product], **options: Any) -> Tab:
        screen = {name: options.pop(name) for name in ("width", "height", "dark", "touch") if name in options}
        path = tmp_path / "page.html"
        path.write_text(page(products, **options), "utf-8")
        return browser.open(path, **screen)

    yield open_page
    assert [] == browser.tab.events("Runtime.exceptionThrown")


def on_map(tab: Tab, share: float) -> tuple[float, float]:
    """Give a point on the middle line of the map, so far from its left edge."""
    frame = tab.ask("document.querySelector('#raised').getBoundingClientRect().toJSON()")
    return frame["x"] + frame["width"] * share, frame["y"] + frame["height"] / 2


def on_timeline(tab: Tab, share: float, above: float = 26) -> tuple[float, float]:
    """Give a point on the timeline, so far from its beginning and so many pixels above its lower edge."""
    frame = tab.ask("document.querySelector('#bars').getBoundingClientRect().toJSON()")
    return frame["x"] + 14 + (frame["width"] - 28) * share, frame["y"] + frame["height"] - above


def marked(tab: Tab, canvas: str) -> float | None:
    """Say how far from the left edge of a canvas, as a share of it, the mark of a scene is; None without a mark."""
    share: float | None = tab.ask(
        f"""(() => {{
            const canvas = document.getElementById("{canvas}");
            const {{ data }} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let [sum, found] = [0, 0];
            for (let at = 0; at < data.length; at += 4) {{
                const isAccent = {json.dumps(ACCENT)}.every((part, index) => Math.abs(data[at + index] - part) < 3);
                if (!isAccent || data[at + 3] < 250) continue;
                sum += (at / 4) % canvas.width;
                found += 1;
            }}
            return found ? sum / found / canvas.width : null;
        }})()"""
    )
    return share


def colour(tab: Tab, point: tuple[float, float]) -> tuple[int, ...]:
    """Give what is drawn on the map at a point, without what is raised above it."""
    x, y = point
    data: list[int] = tab.ask(
        f"""(() => {{
            const canvas = document.getElementById("ground");
            const frame = canvas.getBoundingClientRect();
            return [...canvas.getContext("2d").getImageData({x} - frame.x, {y} - frame.y, 1, 1).data];
        }})()"""
    )
    return tuple(data[:3])


def names(tab: Tab, selector: str = ".row") -> list[str]:
    """Name the scenes in the list, from its top to its bottom."""
    rows: list[str] = tab.ask(
        f"""[...document.querySelectorAll("{selector}")].sort((one, other) =>
            one.ariaRowIndex - other.ariaRowIndex).map((row) => row.querySelector(".name").textContent)"""
    )
    return rows


def row(number: int) -> str:
    return f'.row[aria-rowindex="{number + 1}"] .name'


def check(number: int) -> str:
    return f'.row[aria-rowindex="{number + 1}"] .check'


PLACES = [(WEST, 3, 0.2), (MIDDLE, 2, 0.5), (EAST, 1, 0.8)]
"""The three scenes: their rows, the newest first, and about where they are on map and timeline."""


@pytest.mark.parametrize(("identifier", "number", "share"), PLACES)
def test_clicking_the_map_chooses_the_scene_in_the_list_and_on_the_timeline(
    show: Callable[..., Tab], identifier: str, number: int, share: float
) -> None:
    tab = show(row_of_three())

    tab.click(on_map(tab, share))

    assert identifier == tab.text("#scene-name")
    assert [identifier] == names(tab, ".row.current") == names(tab, f"[aria-rowindex='{number + 1}']")
    assert pytest.approx(share, abs=0.35) == marked(tab, "bars")
    assert pytest.approx(share, abs=0.1) == marked(tab, "raised")


@pytest.mark.parametrize(("identifier", "number", "share"), PLACES)
def test_clicking_the_list_chooses_the_scene_on_the_map(
    show: Callable[..., Tab], identifier: str, number: int, share: float
) -> None:
    tab = show(row_of_three())

    tab.click(row(number))

    assert identifier == tab.text("#scene-name")
    assert pytest.approx(share, abs=0.1) == marked(tab, "raised")
    assert marked(tab, "bars") is not None


@pytest.mark.parametrize(("identifier", "share"), [(WEST, 0.005), (EAST, 0.995)])
def test_clicking_the_timeline_chooses_the_scene_even_under_a_handle(
    show: Callable[..., Tab], identifier: str, share: float
) -> None:
    tab = show(row_of_three())

    tab.click(on_timeline(tab, share))

    assert identifier == tab.text("#scene-name")
    assert [identifier] == names(tab, ".row.current")


def test_a_handle_of_the_timeline_is_dragged(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three())

    tab.drag(on_timeline(tab, 0.0), on_timeline(tab, 0.3))

    assert [EAST, MIDDLE] == names(tab)


def test_hovering_in_one_place_marks_the_scene_in_the_others(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three())

    tab.hover(*on_map(tab, 0.2))
    assert [WEST] == names(tab, ".row.hovered")
    assert "3 Jun 2025" in tab.text("#tip")
    assert marked(tab, "bars") is not None

    tab.hover(*tab.middle(row(1)))
    assert [EAST] == names(tab, ".row.hovered")
    assert pytest.approx(0.8, abs=0.1) == marked(tab, "raised")

    tab.hover(*tab.middle("#title"))
    assert [] == names(tab, ".row.hovered")
    assert marked(tab, "raised") is None


@pytest.mark.parametrize("dark", [False, True])
def test_the_ground_is_seen_through_any_number_of_scenes(show: Callable[..., Tab], dark: bool) -> None:
    """Else a year of one tile would be a blot without a coast."""
    scenes = [product(f"S2A_{number:03d}", footprint=box(-5, 40, 10, 50)) for number in range(300)]

    tab = show(scenes, dark=dark)

    sea, land = (sum(colour(tab, on_map(tab, share))) for share in (0.22, 0.4))  # the Bay of Biscay, Aquitaine
    bare_sea, bare_land = (sum(colour(tab, on_map(show([], dark=dark), share))) for share in (0.48, 0.6))
    assert sea != bare_sea
    assert abs(land - sea) > abs(bare_land - bare_sea) / 2


def test_a_stack_hides_nothing_that_reaches_out_of_it(show: Callable[..., Tab]) -> None:
    """What is the same on the screen is drawn a few times only; these have the same box and are not the same."""
    corner = {"type": "Polygon", "coordinates": [[[-5, 40], [10, 40], [10, 50], [-5, 40]]]}
    tops = [product(f"S2B_{number:03d}", "2025-06-02T10:00:00Z", footprint=corner) for number in range(40)]
    below = [
        product(f"S2A_{number:03d}", "2025-06-01T10:00:00Z", footprint=box(-5, 40, 10, 50)) for number in range(40)
    ]

    tab = show([*tops, *below])

    bare, reaching = (colour(tab, on_map(tab, share)) for share in (0.05, 0.22))  # both in the sea
    assert bare != reaching


def test_the_names_stand_above_a_scene_that_is_chosen(show: Callable[..., Tab]) -> None:
    """The edge of a scene over Luxembourg would strike its name out."""
    tab = show([product(MIDDLE, footprint=box(5, 49.2, 7.2, 49.61))])
    tab.click(row(1))

    written = """(() => {
        const { data } = document.getElementById("names").getContext("2d").getImageData(0, 0, 9999, 9999);
        return data.some((value) => value > 0);
    })()"""
    top = "document.elementsFromPoint(400, 300).map((element) => element.id)"
    assert tab.ask(written)
    assert "raised" == tab.ask(top)[0]  # and they catch no pointer
    order = tab.ask("[...document.querySelectorAll('#map canvas')].map((canvas) => canvas.id)")
    assert ["ground", "raised", "names"] == order


def test_clicking_the_same_place_again_goes_on_to_the_scene_below(show: Callable[..., Tab]) -> None:
    stacked = [product(f"S2A_{day}", f"2025-06-0{day}T10:00:00Z", footprint=box(0, 40, 9, 50)) for day in (1, 2, 3)]
    tab = show(stacked)
    seen = []

    for _ in range(4):
        tab.click(on_map(tab, 0.5))
        seen.append((tab.text("#scene-name"), tab.text("#scene-place")))

    assert ["S2A_3", "S2A_2", "S2A_1", "S2A_3"] == [name for name, _ in seen]
    assert ["1 of 3 here", "2 of 3 here", "3 of 3 here", "1 of 3 here"] == [place for _, place in seen]


def test_a_drag_over_the_timeline_keeps_these_dates(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three())

    tab.drag(on_timeline(tab, 0.3), on_timeline(tab, 0.7))

    assert [MIDDLE] == names(tab)
    assert "1 of 3 shown" == tab.text("#shown")
    tab.hover(*on_map(tab, 0.2))
    assert [] == names(tab, ".row.hovered"), "a scene that is left out is still on the map"
    tab.click("#time-reset")
    assert [EAST, MIDDLE, WEST] == names(tab)


def test_the_dates_are_kept_by_keyboard_too(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three())

    tab.ask("document.querySelector('#handle-from').focus()")
    tab.press("ArrowRight")
    assert [EAST, MIDDLE] == names(tab)
    tab.press("End")
    assert [EAST] == names(tab)
    tab.press("Home")
    assert [EAST, MIDDLE, WEST] == names(tab)
    assert "3 Jun 2025" == tab.ask("document.querySelector('#handle-from').ariaValueText")


def test_the_cloud_filter_keeps_what_has_less_and_what_is_not_known(show: Callable[..., Tab]) -> None:
    radar = product("S1A_RADAR", "2025-09-01T10:00:00Z", footprint=box(0, 40, 29, 44))
    tab = show([*row_of_three(), radar])

    tab.ask("document.querySelector('#cloud').focus()")
    tab.press(*["PageDown"] * 5)

    assert "50 %" == tab.text("#cloud-value")
    assert ["S1A_RADAR", MIDDLE, WEST] == names(tab)
    tab.press("Home")
    assert ["S1A_RADAR"] == names(tab)


def test_when_no_scene_passes_the_filters_the_page_says_so_and_has_a_way_back(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three())
    tab.ask("document.querySelector('#cloud').focus()")
    tab.press("Home")

    assert "No scene passes the filters." == tab.text("#empty-words")
    tab.click("#empty-reset")

    assert [EAST, MIDDLE, WEST] == names(tab)
    assert tab.ask("document.querySelector('#empty').hidden")


def test_the_chosen_identifiers_can_be_copied_one_a_line(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three())
    tab.browser.call(
        "Browser.grantPermissions",
        permissions=["clipboardReadWrite", "clipboardSanitizedWrite"],
    )
    tab.click(check(1))
    tab.click(check(3))
    assert "2 chosen 1.5 GB" == tab.text(".tray-text")

    tab.click("#copy")

    tab.until("document.querySelector('#tray-text').textContent === '2 copied'")
    assert f"{EAST}\n{WEST}\n" == tab.ask("navigator.clipboard.readText()")


def test_where_the_clipboard_is_closed_the_identifiers_are_offered_as_text(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three())
    tab.browser.call("Browser.setPermission", permission={"name": "clipboard-write"}, setting="denied")
    tab.click("#pick-all")

    tab.click("#copy")

    tab.until("document.querySelector('dialog').open")
    assert f"{EAST}\n{MIDDLE}\n{WEST}" == tab.ask("getSelection().toString()")
    tab.press("Escape")
    assert not tab.ask("document.querySelector('dialog').open")


def test_the_chosen_identifiers_are_saved_as_a_file_for_the_next_command(
    show: Callable[..., Tab], tmp_path: Path
) -> None:
    command = "collgs-async download --collection S2_MSIL2A --ids chosen.txt"
    tab = show(row_of_three(), command=command)
    tab.browser.call(
        "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "saved"), eventsEnabled=True
    )
    assert tab.ask("document.querySelector('#save').disabled")
    assert tab.ask("document.querySelector('#tray-next').hidden")
    tab.click(check(1))
    tab.click(check(3))

    tab.click("#save")

    tab.until_event("Browser.downloadProgress", state="completed")
    assert f"{EAST}\n{WEST}\n" == (tmp_path / "saved/chosen.txt").read_text("utf-8")
    assert command == tab.text("#tray-command")
    assert not tab.ask("document.querySelector('#tray-next').hidden")


def test_the_next_command_is_copied(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three(), command="collgs-async download --ids chosen.txt")
    tab.ask("navigator.clipboard.writeText = (text) => { globalThis.copied = text; return Promise.resolve(); }")
    tab.click("#pick-all")

    tab.click("#tray-copy-command")

    tab.until("globalThis.copied === 'collgs-async download --ids chosen.txt'")


def test_without_a_command_there_is_none_to_copy(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three())
    tab.click("#pick-all")

    assert tab.ask("document.querySelector('#tray-next').hidden")


def test_a_chosen_scene_that_the_filters_hide_is_told_before_copying(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three())
    tab.ask("navigator.clipboard.writeText = (text) => { globalThis.copied = text; return Promise.resolve(); }")
    tab.click("#pick-all")
    assert tab.ask("document.querySelector('#tray-leave').hidden")

    tab.drag(on_timeline(tab, 0.0), on_timeline(tab, 0.3))  # the oldest one goes
    assert "1 chosen is hidden by the filter" == tab.text("#tray-hidden-text")
    tab.drag(on_timeline(tab, 0.3), on_timeline(tab, 0.7))  # and the newest
    assert "2 chosen are hidden by the filter" == tab.text("#tray-hidden-text")
    tab.click("#tray-leave")

    assert tab.ask("document.querySelector('#tray-leave').hidden")
    tab.click("#copy")
    tab.until(f"globalThis.copied === '{MIDDLE}\\n'")


def with_names() -> list[Product]:
    """Make scenes of two tiles, three orbits in two directions, and two platforms, by their names alone."""
    names_ = [
        ("S2A_MSIL2A_20250601T103021_N0511_R108_T31UGR_20250601T150000", "DESCENDING"),
        ("S2B_MSIL2A_20250602T103021_N0511_R008_T31UGR_20250602T150000", "DESCENDING"),
        ("S2B_MSIL2A_20250603T103021_N0511_R008_T32ULV_20250603T150000", "DESCENDING"),
        ("S2A_MSIL2A_20250604T103021_N0511_R051_T32ULV_20250604T150000", "ASCENDING"),
    ]
    return [
        product(name, f"2025-06-0{day}T10:00:00Z", orbit_direction=direction, footprint=box(5, 49, 7, 50))
        for day, (name, direction) in enumerate(names_, 1)
    ]


def choose(tab: Tab, selector: str, value: str) -> None:
    tab.ask(
        f"""(() => {{
            const select = document.querySelector("{selector}");
            select.value = "{value}";
            select.dispatchEvent(new Event("change"));
        }})()"""
    )
    tab.settle()


def test_the_list_is_filtered_by_tile_orbit_and_platform(show: Callable[..., Tab]) -> None:
    tab = show(with_names())
    assert ["All tiles", "31UGR", "32ULV"] == tab.texts("#only-tile option")
    orbits = ["All orbits", "Ascending 51", "Descending", "Descending 8", "Descending 108"]
    assert orbits == tab.texts("#only-orbit option")
    assert ["All platforms", "S2A", "S2B"] == tab.texts("#only-unit option")

    def days() -> str:
        return "".join(name[18] for name in names(tab))

    choose(tab, "#only-tile", "31UGR")
    assert "21" == days()
    choose(tab, "#only-unit", "S2A")
    assert "1" == days()
    choose(tab, "#only-tile", "")
    assert "41" == days()
    choose(tab, "#only-orbit", "DESC")
    assert "1" == days()
    choose(tab, "#only-unit", "")
    assert "321" == days()
    choose(tab, "#only-orbit", "DESC 8")
    assert "32" == days()
    choose(tab, "#only-tile", "31UGR")
    choose(tab, "#only-unit", "S2A")
    assert "" == days()
    tab.click("#empty-reset")
    assert "4321" == days()
    assert ["", "", ""] == [
        tab.ask(f"document.querySelector('#only-{name}').value") for name in ("tile", "orbit", "unit")
    ]


def test_a_filter_with_nothing_to_choose_is_not_shown(show: Callable[..., Tab]) -> None:
    tab = show(with_names()[1:3])  # one orbit, one platform

    shown = tab.ask(
        "[...document.querySelectorAll('#choices select')].filter((one) => !one.hidden).map((one) => one.id)"
    )
    assert ["only-tile"] == shown
    assert show(row_of_three()[:1]).ask("document.querySelector('#choices').hidden")


def test_footprints_and_area_are_switched_off(show: Callable[..., Tab]) -> None:
    area = {"type": "LineString", "coordinates": [[0, 47], [29, 47]]}

    def seen(tab: Tab) -> str:
        return str(tab.ask("document.getElementById('ground').toDataURL()"))

    tab = show(row_of_three(), area=area)
    both = seen(tab)
    tab.click("#show-footprints")
    area_alone = seen(tab)
    tab.click("#show-area")
    neither = seen(tab)
    tab.click("#show-footprints")
    footprints_alone = seen(tab)

    assert 4 == len({both, area_alone, neither, footprints_alone})
    tab.click("#show-area")
    assert both == seen(tab)


def test_a_layer_that_the_page_lacks_has_no_switch(show: Callable[..., Tab]) -> None:
    layers = (
        "[...document.querySelectorAll('.layers label')].filter((one) => !one.hidden).map((one) => one.textContent)"
    )

    assert ["Footprints"] == show(row_of_three()).ask(layers)
    assert ["Footprints", "Pictures", "Area"] == show(
        row_of_three(), area=box(0, 0, 1, 1), quicklooks={WEST: png(2, 2)}
    ).ask(layers)
    assert show([]).ask("document.querySelector('#legend').hidden")


@pytest.mark.parametrize("size", [{}, {"width": 390, "height": 844, "touch": True}, {"width": 900, "height": 500}])
def test_at_first_nothing_covers_a_scene(show: Callable[..., Tab], size: dict[str, Any]) -> None:
    tab = show(
        [product("S2A_ALL", footprint=box(0, 45, 29, 51)), product("S2A_TALL", footprint=box(28, 30, 29, 60))], **size
    )

    legend = tab.ask("document.querySelector('.legend').getBoundingClientRect().bottom")
    assert legend <= tab.ask("document.querySelector('#map').getBoundingClientRect().top")
    below = tab.ask(
        """[...document.querySelectorAll(".map .card:not([hidden])")].map((card) => {
            const { left, top, width, height } = card.getBoundingClientRect();
            const surface = document.getElementById("raised");
            return [card.className, [...Array(400).keys()].some((step) => {
                const [x, y] = [left + (width * (step % 20)) / 19, top + (height * Math.floor(step / 20)) / 19];
                const where = { clientX: x, clientY: y, pointerType: "mouse" };
                surface.dispatchEvent(new PointerEvent("pointermove", where));
                return surface.classList.contains("over");
            })];
        })"""
    )
    assert [["zoom card", False]] == below


def test_a_tooltip_ends_with_its_scene(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three())
    hidden = "document.querySelector('#tip').hidden"
    tab.hover(*on_map(tab, 0.2))
    assert not tab.ask(hidden)

    tab.ask("document.querySelector('#cloud').focus()")
    tab.press("Home")  # the filter leaves it out, and the mouse has not moved
    assert tab.ask(hidden)
    tab.press("End")
    assert not tab.ask(hidden)

    tab.ask("document.querySelector('#raised').focus()")
    tab.press(*["ArrowDown"] * 12)  # the map moves away below the mouse
    assert tab.ask(hidden)
    assert [] == names(tab, ".row.hovered")
    tab.press("0")
    assert "3 Jun 2025" in tab.text("#tip")
    assert not tab.ask(hidden)

    tab.hover(*tab.middle(row(1)))
    assert tab.ask(hidden)


def test_the_header_names_the_query(show: Callable[..., Tab]) -> None:
    query = ["luxembourg.geojson", "sensed 2022-07-01 to 2023-06-30", "at most 20 % cloud", "<b>x</b>"]
    tab = show(row_of_three(), query=query)

    assert "  ·  ".join(query) == tab.text("#query")
    assert show(row_of_three()).ask("document.querySelector('#query').hidden")


def test_the_list_is_used_by_keyboard(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three())
    tab.ask("document.querySelector('#grid').focus()")

    tab.press("ArrowDown", "ArrowDown", " ")

    assert MIDDLE == tab.text("#scene-name")
    assert [MIDDLE] == names(tab, ".row[aria-selected=true]")
    assert tab.ask(
        "document.getElementById(document.activeElement.getAttribute('aria-activedescendant')).matches('.current')"
    )
    tab.press("End", " ")
    assert [MIDDLE, WEST] == names(tab, ".row[aria-selected=true]")
    tab.press("Escape")
    assert tab.ask("document.querySelector('#scene').hidden")


def test_the_map_is_moved_by_keyboard(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three())
    tab.ask("document.querySelector('#raised').focus()")

    tab.press("+", "+", "+", "+")
    tab.hover(*on_map(tab, 0.2))
    assert [MIDDLE] == names(tab, ".row.hovered")
    tab.press("0")
    tab.hover(*on_map(tab, 0.21))
    assert [WEST] == names(tab, ".row.hovered")


def test_every_control_is_reached_by_the_tab_key(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three())
    reached = set()

    for _ in range(30):
        tab.press("Tab")
        reached.add(tab.ask("document.activeElement.id"))

    wanted = {"theme", "raised", "by-date", "by-cloud", "zoom-in", "zoom-out", "zoom-fit", "handle-from", "handle-to"}
    assert {*wanted, "show-footprints", "cloud", "grid", "pick-all"} <= reached


def test_sorting_by_a_column(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three())

    tab.click("[data-sort=size]")
    assert [MIDDLE, WEST, EAST] == names(tab)
    tab.click("[data-sort=size]")
    assert [EAST, WEST, MIDDLE] == names(tab)
    assert "ascending" == tab.ask("document.querySelector('.column.size').ariaSort")


def test_the_quicklook_of_the_chosen_scene_is_shown(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three(), quicklooks={WEST: png(7, 5), MIDDLE: b"<svg onload='hit = 1'></svg>"})

    tab.click(row(3))
    tab.until("document.querySelector('#scene-image').naturalWidth === 7")
    tab.click(row(2))

    assert tab.ask("document.querySelector('#scene-image').hidden")


def test_a_quicklook_that_is_no_picture_is_not_shown(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three(), quicklooks={EAST: png(4, 4)[:20], MIDDLE: png(4, 4)})

    tab.click(row(1))
    tab.until("document.querySelector('#scene-image').hidden")
    tab.click(row(2))
    tab.until("document.querySelector('#scene-image').naturalWidth === 4")
    assert not tab.ask("document.querySelector('#scene-image').hidden")


def quarters_on_map(tab: Tab, reach: float) -> list[str]:
    """Name the colours on the map to the north-west, north-east, south-west and south-east of its middle."""
    frame = tab.ask("document.querySelector('#raised').getBoundingClientRect().toJSON()")
    x, y = frame["x"] + frame["width"] / 2 - 7, frame["y"] + frame["height"] / 2
    found = []
    for right, down in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
        seen = colour(tab, (x + reach * right, y + reach * down))
        nearest = min(range(4), key=lambda at: sum(abs(a - b) for a, b in zip(seen, QUARTERS[at], strict=True)))
        exact = sum(abs(a - b) for a, b in zip(seen, QUARTERS[nearest], strict=True)) < 12
        found.append(("red", "green", "blue", "yellow")[nearest] if exact else str(seen))
    return found


RADAR = "S1A_IW_GRDH_1SDV_20230630T054312_20230630T054337_049211_3DCE89_224E"


@pytest.mark.parametrize(
    ("identifier", "direction", "expected"),
    [
        ("S2A_PICTURE", "DESCENDING", ["red", "green", "blue", "yellow"]),
        (RADAR, "DESCENDING", ["green", "red", "yellow", "blue"]),  # mirrored
        (RADAR, "ASCENDING", ["blue", "yellow", "red", "green"]),  # upside down
    ],
)
def test_a_quicklook_is_draped_over_its_footprint_the_right_way_round(
    show: Callable[..., Tab], identifier: str, direction: str, expected: list[str]
) -> None:
    scene = product(identifier, footprint=box(-42, 37, -38, 41), orbit_direction=direction)  # the open ocean
    tab = show([scene], quicklooks={identifier: quartered()})
    until_drawn(tab, lambda: expected == quarters_on_map(tab, 60))
    tab.click("#show-pictures")
    assert not {"red", "green", "blue", "yellow"} & set(quarters_on_map(tab, 60))
    tab.click("#show-pictures")
    assert expected == quarters_on_map(tab, 60)


def until_drawn(tab: Tab, is_drawn: Callable[[], bool]) -> None:
    """Let the page draw until something is seen: pictures are decoded on their own time."""
    for _ in range(200):
        if is_drawn():
            return
        tab.settle()
    assert is_drawn(), "it never was"


def test_a_quicklook_is_warped_into_a_slanted_footprint_and_cut_to_it(show: Callable[..., Tab]) -> None:
    slanted = {"type": "Polygon", "coordinates": [[[4, 50], [8, 51], [9, 48], [5, 47], [4, 50]]]}
    tab = show([product("S2A_SLANTED", footprint=slanted)], quicklooks={"S2A_SLANTED": quartered()})

    until_drawn(tab, lambda: quarters_on_map(tab, 60) == ["red", "green", "blue", "yellow"])
    frame = tab.ask("document.querySelector('#raised').getBoundingClientRect().toJSON()")
    corner = (frame["x"] + 60, frame["y"] + 60)
    bare = colour(tab, corner)
    assert max(bare) - min(bare) < 30, "the picture reaches out of its footprint"


def test_of_two_quicklooks_the_newer_one_is_above_until_the_other_is_chosen(show: Callable[..., Tab]) -> None:
    grey = png(32, 32)
    old, new = (product(name, f"2025-06-0{day}", footprint=box(5, 47, 9, 51)) for name, day in ((WEST, 1), (EAST, 2)))
    tab = show([old, new], quicklooks={WEST: quartered(), EAST: grey})

    until_drawn(tab, lambda: colour(tab, on_map(tab, 0.45)) == (128, 128, 128))
    tab.click(row(2))

    raised = """(() => {
        const canvas = document.getElementById("raised");
        const { data } = canvas.getContext("2d").getImageData(canvas.width / 2 - 67, canvas.height / 2 - 60, 1, 1);
        return [...data];
    })()"""
    until_drawn(tab, lambda: tab.ask(raised)[:3] == [200, 0, 0])


def test_the_list_has_thumbnails(show: Callable[..., Tab]) -> None:
    looks = {WEST: png(7, 5), MIDDLE: png(4, 4)[:20], EAST: b"<svg onload='hit = 1'></svg>"}
    tab = show(row_of_three(), quicklooks=looks)

    tab.until("[...document.querySelectorAll('.thumb img')].map((image) => image.naturalWidth).join() === '7'")
    assert [WEST] == names(tab, ".row:has(.thumb img)")
    assert 3 == tab.ask("document.querySelectorAll('.thumb').length")
    assert 0 == show(row_of_three()).ask("document.querySelectorAll('.thumb').length")


def test_a_name_of_any_length_leaves_the_map_and_the_way_out(show: Callable[..., Tab]) -> None:
    tab = show([product("X" * 5000, footprint=box(0, 45, 9, 51), platform="Y" * 5000)])

    tab.click(row(1))

    card, frame = (
        tab.ask(f"document.querySelector('{selector}').getBoundingClientRect().toJSON()")
        for selector in ("#scene", "#map")
    )
    assert card["top"] >= frame["top"]
    tab.click("#scene-close")
    assert tab.ask("document.querySelector('#scene').hidden")


HOSTILE = [
    "<img src=x onerror='globalThis.hit = 1'>",
    "</script><script>globalThis.hit = 1</script>",
    "<!--<script>",
    "line\u2028separator\u2029",
    "\u202egnp.exe",
    "two\nlines",
    "$title ${script}",
    "\ud800",
    "</script x=",
]


def test_hostile_names_are_only_text(show: Callable[..., Tab]) -> None:
    products = [
        product(name, f"2025-06-{index + 1:02d}T10:00:00Z", platform=name, collection=name, problem=name)
        for index, name in enumerate(HOSTILE)
    ]
    title = "</title><script>globalThis.hit = 1</script>"
    tab = show(products, title=title, notes=["<b>note</b>"], quicklooks={HOSTILE[0]: png(1, 1)})

    for number in range(1, len(HOSTILE) + 1):
        tab.click(row(number))

    assert tab.ask("globalThis.hit") is None
    assert title == tab.text("#title")
    assert ["<b>note</b>"] == tab.texts("#notes li")
    assert [
        HOSTILE[0],
        HOSTILE[1],
        HOSTILE[2],
        "line?separator?",
        "?gnp.exe",
        "two?lines",
        HOSTILE[6],
        "?",
        HOSTILE[8],
    ] == names(tab)[::-1]


def test_a_name_with_a_line_break_is_not_copied_as_two(show: Callable[..., Tab]) -> None:
    tab = show([product("S2A_GOOD\nS2A_OTHER")])
    tab.ask("navigator.clipboard.writeText = (text) => { globalThis.copied = text; return Promise.resolve(); }")

    tab.click(check(1))
    tab.click("#copy")

    assert "S2A_GOOD S2A_OTHER\n" == tab.ask("globalThis.copied")


def test_no_request_leaves_the_page(show: Callable[..., Tab]) -> None:
    """Not even if a script in it wanted to."""
    tab = show(row_of_three(), area=box(0, 45, 29, 51), quicklooks={WEST: png(3, 3)})
    tab.click(on_map(tab, 0.2))
    tab.click("#theme")
    tab.click("#by-cloud")
    asked = [event["request"]["url"] for event in tab.events("Network.requestWillBeSent")]
    assert [] == [url for url in asked if not url.startswith(("file:", "data:"))]

    assert_nothing_reaches_another_server(tab)


def assert_nothing_reaches_another_server(tab: Tab) -> None:
    """Let the page ask a server that it does not name, by a script and for an image; none of it may arrive."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        tab.ask(f"fetch('{address}', {{ mode: 'no-cors', signal: AbortSignal.timeout(2000) }}).catch(() => null)")
        tab.ask(
            f"""new Promise((done) => {{
                setTimeout(done, 2000);
                Object.assign(new Image(), {{ onerror: done, src: '{address}' }});
            }})"""
        )
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.fixture
def tile_server() -> Iterator[tuple[str, list[str]]]:
    """Serve a tile for any path; what was asked for is noted."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = png(256, 256)
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{{z}}/{{x}}/{{y}}.png", asked
        server.shutdown()
        thread.join()


def test_tiles_are_requested_from_their_server_and_named_on_the_page(
    show: Callable[..., Tab], tile_server: tuple[str, list[str]]
) -> None:
    template, asked = tile_server
    tab = show(row_of_three(), background=Background.parse(template, "© Somebody"))

    tab.until("document.getElementById('credit').textContent === '© Somebody'")
    note = "The background is requested from 127.0.0.1, which learns what area is looked at."
    assert [note] == tab.texts("#notes li")
    tab.until("performance.getEntriesByType('resource').length >= 6")
    assert {"5"} == {path.split("/")[1] for path in asked}
    assert {"15", "16", "17", "18"} <= {path.split("/")[2] for path in asked}  # 0° is where column 16 begins
    assert {"10", "11"} <= {path.split("/")[3].removesuffix(".png") for path in asked}  # and so 41° to 56° N
    assert_nothing_reaches_another_server(tab)

    tab.click("#show-tiles")
    tab.until("document.getElementById('credit').textContent === 'Natural Earth'")
    before = len(asked)
    tab.ask("document.querySelector('#raised').focus()")
    tab.press("+", "+", "+", "+", "+")
    tab.ask("new Promise((done) => setTimeout(done, 400))")  # the map settles after 120 ms
    assert before == len(asked)
    tab.click("#show-tiles")
    tab.until("document.getElementById('credit').textContent === '© Somebody'")


def test_across_the_antimeridian_tiles_are_those_of_both_ends_of_the_world(
    show: Callable[..., Tab], tile_server: tuple[str, list[str]]
) -> None:
    template, asked = tile_server
    tab = show([product(WEST, footprint=CROSSING["beyond 180"])], background=Background.parse(template))

    tab.until("document.getElementById('credit').textContent === '127.0.0.1'")
    tab.until("performance.getEntriesByType('resource').length >= 8")
    zoom = int(asked[0].split("/")[1])
    columns = {int(path.split("/")[2]) for path in asked}
    assert {0, 2**zoom - 1} <= columns <= set(range(2**zoom))


def test_around_a_pole_there_are_no_tiles(show: Callable[..., Tab], tile_server: tuple[str, list[str]]) -> None:
    template, asked = tile_server
    tab = show([product(WEST, footprint=box(-180, 84, 180, 90))], background=Background.parse(template))

    tab.ask("new Promise((done) => setTimeout(done, 400))")
    assert [] == asked
    assert tab.ask("document.querySelector('label:has(#show-tiles)').hidden")


def test_an_empty_result_says_so(show: Callable[..., Tab]) -> None:
    tab = show([], area=box(5.7, 49.4, 6.6, 50.2), notes=["The search ended early."])

    assert "Nothing found" == tab.text("#empty-title")
    assert not tab.ask("document.querySelector('#empty').hidden")
    assert "0 scenes" == tab.text("#summary").replace("\xa0", " ")
    assert ["The search ended early."] == tab.texts("#notes li")


def test_a_scene_without_footprint_or_date_is_in_the_list(show: Callable[..., Tab]) -> None:
    tab = show([Product("S2A_BARE", None, problem="no link"), *row_of_three()])

    assert [EAST, MIDDLE, WEST, "S2A_BARE"] == names(tab)
    tab.click(row(4))

    assert "No date" == tab.text("#scene-date")
    assert ["unknown", "no link"] == tab.texts("#scene-facts dd")
    assert marked(tab, "raised") is None


def test_of_two_thousand_scenes_only_what_is_seen_is_in_the_list(show: Callable[..., Tab]) -> None:
    tab = show(many(2_000))

    assert "2,000 scenes" in tab.text("#summary").replace("\xa0", " ")
    assert "2001" == tab.ask("document.querySelector('#grid').ariaRowCount")
    assert len(names(tab)) < 60
    tab.ask("document.querySelector('#grid').focus()")
    tab.press("End")
    assert "2001" == tab.ask("document.querySelector('.row.current').ariaRowIndex")
    box_ = tab.ask("document.querySelector('.row.current').getBoundingClientRect().toJSON()")
    assert 0 < box_["top"] < box_["bottom"] < 900


def test_the_theme_follows_the_system_and_the_button(show: Callable[..., Tab]) -> None:
    def colours(tab: Tab) -> tuple[str, list[int]]:
        ground = "[...document.getElementById('ground').getContext('2d').getImageData(300, 5, 1, 1).data]"
        return tab.ask("getComputedStyle(document.body).backgroundColor"), tab.ask(ground)

    light = colours(show([]))
    tab = show([], dark=True)

    assert "rgb(255, 255, 255)" == light[0]
    assert "rgb(18, 23, 29)" == colours(tab)[0]
    assert light[1] != colours(tab)[1]
    tab.click("#theme")
    assert light == colours(tab)


def test_a_phone_has_map_above_list_and_nothing_beside(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three(), width=390, height=844, touch=True, title="Sentinel-2 over Luxembourg " * 4)

    assert 390 == tab.ask("document.documentElement.scrollWidth")
    bottom = tab.ask("document.querySelector('#map').getBoundingClientRect().bottom")
    assert bottom <= tab.ask("document.querySelector('.list').getBoundingClientRect().top")
    x, y = on_map(tab, 0.5)
    tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y + 40}])
    tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    tab.until("!document.querySelector('#scene').hidden")
    assert MIDDLE == tab.text("#scene-name")


def test_what_is_touched_is_as_wide_as_a_finger(show: Callable[..., Tab]) -> None:
    """Pages may ask for 24 pixels at least (WCAG 2.2, 2.5.8); what is touched often has more."""
    tab = show([*row_of_three(), *row_of_three()], width=390, height=844, touch=True)
    tab.click(on_map(tab, 0.5))

    sizes: dict[str, list[float]] = tab.ask(
        """Object.fromEntries([...document.querySelectorAll("button, input, .check")].map((control) => {
            const { width, height } = (control.closest("label") ?? control).getBoundingClientRect();
            return [control.id || control.textContent || control.className, [width, height]];
        }).filter(([, [width]]) => width))"""
    )

    often = {"theme", "zoom-in", "zoom-out", "zoom-fit", "scene-previous", "scene-next", "scene-close", "cloud", "copy"}
    assert often <= set(sizes)
    assert [] == [name for name in often if min(sizes[name]) < 44]
    assert [] == [name for name, size in sizes.items() if min(size) < 32]
    assert 390 == tab.ask("document.documentElement.scrollWidth")


def test_on_a_phone_the_card_does_not_cover_the_scene_that_it_is_about(show: Callable[..., Tab]) -> None:
    north, south = (product(name, footprint=box(0, at, 3, at + 3)) for name, at in ((WEST, 55), (EAST, 40)))
    tab = show([north, south], width=390, height=844, touch=True)

    for number in (1, 2):
        tab.ask(f"document.querySelector('{row(number)}').click()")
        tab.settle()
        tab.until(
            f"""(() => {{
                const canvas = document.getElementById("raised");
                const {{ data }} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                const isAccent = (at) => {json.dumps(ACCENT)}.every((part, index) => data[at + index] === part);
                const rows = [...data.keys()].filter((at) => at % 4 === 0 && data[at + 3] === 255 && isAccent(at));
                const middle = rows.reduce((sum, at) => sum + Math.floor(at / 4 / canvas.width), 0) / rows.length;
                return middle / 2 < document.getElementById("scene").offsetTop;
            }})()"""
        )


def test_where_dates_tell_nothing_apart_the_legend_shows_no_ramp(show: Callable[..., Tab]) -> None:
    tab = show(row_of_three()[:1])
    assert tab.ask("document.querySelector('#ramp').hidden")
    assert ["3 Jun 2025, 10:00", ""] == tab.texts("#ramp-first, #ramp-last")

    tab = show([product(WEST, "2025-06-03T10:00:00Z"), product(EAST, "2025-06-03T10:20:00Z")])
    assert ["3 Jun 2025, 10:00", "3 Jun 2025, 10:20"] == tab.texts("#ramp-first, #ramp-last")
    assert not tab.ask("document.querySelector('#time').hidden")

    assert show([Product(WEST, None)]).ask("document.querySelector('#time').hidden")


CROSSING = {
    "cut in two": {
        "type": "MultiPolygon",
        "coordinates": [box(177, 2, 180, 5)["coordinates"], box(-180, 2, -177, 5)["coordinates"]],
    },
    "beyond 180": box(177, 2, 183, 5),
    "jumping": box(177, 2, -177, 5),
}


@pytest.mark.parametrize("habit", CROSSING)
def test_a_footprint_across_the_antimeridian_is_one_in_the_middle_of_the_map(
    show: Callable[..., Tab], habit: str
) -> None:
    tab = show([product(WEST, footprint=CROSSING[habit])])

    for share in (0.3, 0.45, 0.55, 0.7):
        tab.hover(*on_map(tab, share))
        assert [WEST] == names(tab, ".row.hovered"), share
    assert pytest.approx(0.5, abs=0.02) == marked(tab, "raised")
    assert "50 km" == tab.text("#scale-text")


@pytest.mark.parametrize("side", [1, -1], ids=["north", "south"])
def test_around_a_pole_the_map_is_seen_from_above_it(show: Callable[..., Tab], side: int) -> None:
    """There the pole is a point in the middle, and the meridians of a scene run towards it."""
    cap = box(-180, min(84 * side, 90 * side), 180, max(84 * side, 90 * side))
    quarters = [
        product(f"S3A_{west}", footprint=box(west, min(70 * side, 83 * side), west + 90, max(70 * side, 83 * side)))
        for west in (-180, -90, 0, 90)
    ]
    tab = show([product("S3A_CAP", footprint=cap), *quarters])
    frame = tab.ask("document.querySelector('#raised').getBoundingClientRect().toJSON()")
    x, y = frame["x"] + frame["width"] / 2 - 7, frame["y"] + frame["height"] / 2  # there is more room left to the zoom

    chosen = []
    for right, down in ((0, 0), (1, 1), (-1, 1), (-1, -1), (1, -1)):
        tab.click((x + 130 * right, y + 130 * down))
        chosen.append(tab.text("#scene-name"))

    clockwise_from_lower_right = ["S3A_0", "S3A_-90", "S3A_-180", "S3A_90"]
    mirrored = ["S3A_90", "S3A_-180", "S3A_-90", "S3A_0"]
    assert ["S3A_CAP", *(clockwise_from_lower_right if side > 0 else mirrored)] == chosen


def test_an_area_alone_is_what_the_map_shows(show: Callable[..., Tab]) -> None:
    tab = show([], area=CROSSING["cut in two"])

    assert "50 km" == tab.text("#scale-text")


@pytest.mark.parametrize("habit", ["beyond 180", "jumping"])
def test_rings_that_jump_are_unrolled(habit: str) -> None:
    assert {"polygons": [[[177, 2, 183, 2, 183, 5, 177, 5, 177, 2]]]} == outlines(CROSSING[habit])


def test_a_ring_that_jumps_twice_comes_back() -> None:
    ring = [[179, 0], [-179, 0], [-178, 1], [179, 1], [179, 0]]

    assert {"polygons": [[[179, 0, 181, 0, 182, 1, 179, 1, 179, 0]]]} == outlines(
        {"type": "Polygon", "coordinates": [ring]}
    )


def test_a_ring_round_the_pole_is_closed_over_it() -> None:
    ring = [[0, 80], [90, 80], [180, 80], [-90, 80], [0, 80]]

    found = outlines({"type": "Polygon", "coordinates": [ring]})

    assert [[0, 80, 90, 80, 180, 80, 270, 80, 360, 80, 360, 90, 0, 90, 0, 80]] == found["polygons"][0]


def test_a_hole_stays_in_its_polygon() -> None:
    shell, hole = box(177, -19, -177, -16)["coordinates"][0], box(-179, -18, -178, -17)["coordinates"][0]

    [[_, inner]] = outlines({"type": "Polygon", "coordinates": [shell, hole]})["polygons"]

    assert (181, 182) == (min(inner[::2]), max(inner[::2]))


def test_an_area_of_the_whole_world_stays_as_wide_as_it_is() -> None:
    assert {"polygons": [[[-170, -80, 170, -80, 170, 80, -170, 80, -170, -80]]]} == outlines(
        box(-170, -80, 170, 80), unroll=False
    )


def test_areas_of_every_kind_are_drawn() -> None:
    line = {"type": "LineString", "coordinates": [[1, 2, 300], [3, 4, 300]]}
    point = {"type": "Feature", "geometry": {"type": "MultiPoint", "coordinates": [[5, 6], [7, 8]]}}
    both = {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": line}, point]}

    assert {"lines": [[1, 2, 3, 4]], "points": [[5, 6], [7, 8]]} == outlines(both)


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.fixed_dictionaries(
            {
                "type": st.sampled_from(
                    ["Polygon", "MultiPolygon", "Point", "LineString", "GeometryCollection", "Feature"]
                )
            },
            optional={"coordinates": inner, "geometries": inner, "geometry": inner},
        )
    ),
    max_leaves=12,
)


@given(anything)
def test_what_is_no_geometry_draws_nothing_and_harms_nothing(geometry: Any) -> None:
    json.dumps(outlines(geometry), allow_nan=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_numbers_that_a_browser_cannot_read_are_unknown(value: Any) -> None:
    text = page([product("S2A", cloud_cover=value, size=value)])

    assert '"cloud"' not in between(text, "scenes-data")
    assert '"size"' not in between(text, "scenes-data")


@pytest.mark.parametrize("moment", ["", "yesterday", "0001-01-01", "9999-12-31T23:59:59Z", "2025-13-01"])
def test_what_is_no_sensing_time_is_unknown(moment: str) -> None:
    assert '"start"' not in between(page([product("S2A", moment)]), "scenes-data")


def test_a_time_without_an_offset_is_utc() -> None:
    data = json.loads(between(page([product("S2A", "2025-06-01T10:00:00.123")]), "scenes-data"))

    assert [1748772000.123] == [scene["start"] for scene in data["scenes"]]


def between(text: str, name: str) -> str:
    _, _, rest = text.partition(f'id="{name}">')
    return rest.partition("</script>")[0]


def test_the_page_is_whole_and_asks_for_nothing() -> None:
    text = page(row_of_three(), title="a & b")

    addresses = Addresses()
    addresses.feed(text)
    assert [] == addresses.found
    assert "default-src 'none'; script-src 'sha256-" in text
    assert "unsafe" not in text.partition("</head>")[0].partition("<style>")[0]
    assert "<title>a &amp; b</title>" in text
    assert text.isascii() or text.encode("utf-8")


class Addresses(HTMLParser):
    """Whatever a tag would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {name}" for name, _ in attrs if name in {"src", "href", "srcset", "action", "data"}]


def test_a_notebook_gets_a_table_and_the_same_page_in_a_frame() -> None:
    products = [*many(12), product("<b>S2A</b>")]

    text = notebook_html(products, area=box(0, 0, 1, 1), title="Twelve")

    table, _, frame = text.partition("<iframe")
    assert 10 == table.count("<tr><td>")
    assert "… and 3 more" in table
    assert 'sandbox="allow-scripts allow-downloads"' in frame
    inside = html.unescape(frame.partition('srcdoc="')[2].rpartition('"></iframe>')[0])
    assert page(products, area=box(0, 0, 1, 1), title="Twelve", whole_world=False) == inside


def test_a_notebook_carries_only_the_part_of_the_world_that_is_shown() -> None:
    one = [product("S2A", footprint=box(5, 49, 7, 50))]

    assert len(notebook_html(one)) < 200_000 < len(page(one)) - 150_000


def test_rivers_and_towns_add_no_more_than_their_room_to_the_page() -> None:
    bare, whole = page([]), page([product("S2A", footprint=box(-180, -80, 180, 80))])

    assert 100_000 < len(whole) - len(bare) < 152_000


def test_rivers_and_towns_are_drawn_around_the_scenes(show: Callable[..., Tab]) -> None:
    def blue(scene: Product) -> int:
        river = (169, 198, 214)
        tab = show([scene])
        tab.click("#show-footprints")
        found: int = tab.ask(
            f"""(() => {{
                const canvas = document.getElementById("ground");
                const {{ data }} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                let found = 0;
                for (let at = 0; at < data.length; at += 4) {{
                    found += {list(river)}.every((part, index) => Math.abs(data[at + index] - part) < 6);
                }}
                return found;
            }})()"""
        )
        return found

    assert blue(product("S2A", footprint=box(5, 49, 7, 50))) > 100  # Mosel and Meuse
    assert 0 == blue(product("S2A", footprint=box(10, 23, 12, 24)))  # the Sahara


def test_a_frame_that_gets_its_room_later_shows_the_map_then(browser: Browser, tmp_path: Path) -> None:
    """As notebooks do; the frame is without its sandbox here, so that one can look into it."""
    frame = notebook_html(row_of_three()).replace(
        'sandbox="allow-scripts allow-downloads"', "onload=\"performance.mark('ready')\""
    )
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><style>iframe {{ height: 0 !important }}</style>{frame}", "utf-8")

    tab = browser.open(path)
    tab.ask("document.querySelector('style').remove()")

    inside = "document.querySelector('iframe').contentDocument"
    tab.until(f"{inside}.querySelectorAll('.row').length === 3")
    tab.until(f"{inside}.getElementById('time-title').textContent === 'Acquisitions by day'")
    tab.until(f"/^[0-9,]+ km$/.test({inside}.getElementById('scale-text').textContent)")
    x, y = tab.middle("iframe")
    tab.click((x - 200, y))
    tab.until(f"!{inside}.getElementById('scene').hidden")


def resized(tab: Tab, width: int, height: int) -> tuple[float, float]:
    """Give the page another size, and say from where to where the scenes reach then, as shares of the map."""
    tab.call("Emulation.setDeviceMetricsOverride", mobile=False, width=width, height=height, deviceScaleFactor=1)
    tab.ask("new Promise((done) => setTimeout(done, 300))")  # the map settles after 120 ms
    reach: list[float] = tab.ask(
        """(() => {
            const surface = document.getElementById("raised");
            const { left, top, width, height } = surface.getBoundingClientRect();
            const isOver = [...Array(101).keys()].filter((step) => {
                const where = { clientX: left + (width * step) / 100, clientY: top + height / 2, pointerType: "mouse" };
                surface.dispatchEvent(new PointerEvent("pointermove", where));
                return surface.classList.contains("over");
            });
            return [isOver[0] / 100, isOver.at(-1) / 100];
        })()"""
    )
    return reach[0], reach[1]


def test_the_map_shows_everything_at_any_size_until_the_reader_moves_it(show: Callable[..., Tab]) -> None:
    """A frame below the fold of a notebook may begin with another size than it is read with."""
    tab = show(row_of_three(), width=300, height=150)

    for width, height in ((1440, 900), (500, 700), (1000, 680)):
        first, last = resized(tab, width, height)
        assert 0 < first < 0.25, (width, height)
        assert 0.75 < last < 1, (width, height)

    tab.ask("document.querySelector('#raised').focus()")
    tab.press("+", "+", "+")
    assert (0.0, 1.0) == resized(tab, 1440, 900)
    tab.press("0")
    first, last = resized(tab, 1200, 800)
    assert 0 < first < 0.25
    assert 0.75 < last < 1


def test_a_notebook_with_little_to_show_has_no_more_rows() -> None:
    table = notebook_html([product("<b>S2A</b>", orbit_number=51)]).partition("<iframe")[0]

    assert "<td>&lt;b&gt;S2A&lt;/b&gt;</td><td>2025-06-01 10:00</td><td></td><td>51</td>" in table
    assert "more" not in table


def test_the_world_is_small_and_says_where_it_is_from() -> None:
    resources = Path(notebook.__file__).with_name("resources")

    assert (resources / "world.json").stat().st_size < 250_000
    assert (resources / "details.json").stat().st_size < 450_000
    assert "public domain" in (resources / "NOTICE.md").read_text("utf-8")


def test_the_world_is_made_of_a_topology_and_a_shapefile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arcs = [
        [[0, 0], [0, 10]],  # the border
        [[0, 10], [-10, 0], [0, -10], [10, 0]],
        [[0, 10], [10, 0], [0, -10], [-10, 0]],
        [[50, 0], [0, 0], [0, 0], [0, 0]],  # an island of no size
    ]
    shapes = [
        {"type": "Polygon", "arcs": [[0, 1]], "properties": {"name": "Left"}},
        {"type": "MultiPolygon", "arcs": [[[0, 2]], [[3]]], "properties": {"name": "Right"}},
        {"type": "Polygon", "arcs": [[3]], "properties": {"name": "Rock"}},
    ]
    topology = {
        "transform": {"scale": [0.5, 0.5], "translate": [100, 10]},
        "arcs": arcs,
        "objects": {"countries": {"geometries": shapes}},
    }
    (tmp_path / "countries.json").write_text(json.dumps(topology))
    (tmp_path / "cities.shp").write_bytes(bytes(100) + struct.pack("<iiidd", 0, 0, 1, 6.13, 49.61))
    (tmp_path / "cities.cpg").write_text("ISO-8859-1")
    table = struct.pack("<8xHH20x", 32, 11) + " Lëtzebuerg"[:11].encode("latin-1") + b"\x1a"
    (tmp_path / "cities.dbf").write_bytes(table)

    make_world.main(str(tmp_path / "countries.json"), str(tmp_path / "cities.shp"))

    made = json.loads(capsys.readouterr().out)
    assert [["Left", [[0, 1]]], ["Right", [[0, 2]]]] == made["countries"]
    assert [0] == made["borders"]
    assert [["Lëtzebuerg", 6.13, 49.61]] == made["cities"]
    assert 3 == len(made["arcs"])


def test_a_picture_of_gigapixels_is_left_out() -> None:
    """Its file has a few kilobytes, and to show it a browser would need gigabytes."""
    bomb = png(1, 1)[:16] + struct.pack(">II", 60_000, 60_000) + png(1, 1)[24:]

    assert ["S2B"] == [*json.loads(between(page([], quicklooks={"S2A": bomb, "S2B": png(2, 2)}), "quicklooks-data"))]


def test_quicklooks_are_carried_as_they_are() -> None:
    looks = json.loads(between(page([], quicklooks={"S2A": png(2, 2), "S2B": b"\xff\xd8\xff\xe0"}), "quicklooks-data"))

    assert f"data:image/png;base64,{base64.b64encode(png(2, 2)).decode()}" == looks["S2A"]
    assert looks["S2B"].startswith("data:image/jpeg;base64,")
