"""The browser that runs pages' scripts: Chromium, through scrapy-playwright, locked up as far as its switches go.

The lock that counts is outside of it: every page has a proxy of its own (proxy.py) and no other way out.
"""

import os
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from data.problem import Problem

NOWHERE = "http://127.0.0.1:9"  # what belongs to no page of ours is sent to a port where nobody listens
SWITCHES = (
    "--disable-quic",
    # no WebRTC past the proxy: Chromium 150 knows the second name only, and sends UDP packets where it knows neither
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-shared-workers",  # Playwright does not see what they ask for
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # names are looked up by the proxy alone
    "--disable-gpu",
    "--js-flags=--max-old-space-size=512",  # megabytes of scripts' objects
)


class BrowserError(Problem):
    """Pages cannot be rendered here; the message says what to install."""


def settings(base: Mapping[str, Any]) -> dict[str, Any]:
    """What to add to the settings `base` of a crawl that renders pages. Raises BrowserError."""
    if find_spec("scrapy_playwright") is None:
        raise BrowserError("a source asks for `render`: install the extra, pip install -e '.[render]'")
    return {
        "DOWNLOADER_MIDDLEWARES": {**base["DOWNLOADER_MIDDLEWARES"], "crawler.chromium.render.RenderMiddleware": 585},
        "RENDER_SECONDS": 15.0,  # for a page to be parsed, its scripts included; twice that all in all
        "RENDER_MEMORY": 2_000_000_000,  # bytes of data of a page's process; 600 million are usual
        "PLAYWRIGHT_BROWSER_PROVIDER": "crawler.chromium.render.Provider",
        "PLAYWRIGHT_DOWNLOAD_TIMEOUT": 1000,  # milliseconds; nothing is downloaded
        "PLAYWRIGHT_LAUNCH_OPTIONS": {
            "executable_path": shutil.which("chromium") or shutil.which("chromium-browser"),  # None: Playwright's own
            "args": list(SWITCHES),
            "chromium_sandbox": os.geteuid() != 0,  # it does not work for root
            "proxy": {"server": NOWHERE, "bypass": "<-loopback>"},
        },
    }
