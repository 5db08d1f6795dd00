"""A page with ReplayWeb.page in it, and a small server of WACZ files on loopback."""

import os
import re
from http.server import BaseHTTPRequestHandler
from pathlib import Path

PLAYER = Path(os.environ.get("FANTOMES_PLAYER") or Path(__file__).parent.parent / ".venv/player")
FRAME = """<!doctype html><script src="/ui.js"></script>
<replay-web-page source="/{name}" url="{url}" ts="{ts}" replaybase="/replay/" embed="{embed}"></replay-web-page>
<style>html, body, replay-web-page {{ height: 100%; margin: 0; display: block }}</style>"""

# What stands in the frame until the player's service worker takes over; on a busy machine the frame loads first.
INSIDE = "<!doctype html><script src='/ui.js'></script><replay-app-main></replay-app-main>"


class Server(BaseHTTPRequestHandler):
    """Player, frame and WACZ files; answers ranges, without which a WACZ does not load (replayweb.page#255)."""

    protocol_version = "HTTP/1.1"
    folder: Path
    frame = ""
    ranges: list[str] = []  # noqa: RUF012 (one server, one test)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        name = self.path.partition("?")[0].strip("/")
        if name in ("ui.js", "replay/sw.js"):
            data, kind = (PLAYER / Path(name).name).read_bytes(), "text/javascript"
        elif name.endswith(".wacz") and (self.folder / name).exists():
            data, kind = (self.folder / name).read_bytes(), "application/wacz"
        elif name in ("", "replay"):
            data, kind = (self.frame if not name else INSIDE).encode(), "text/html"
        else:
            return self.send_error(404)
        size, asked = len(data), re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        self.send_response(206 if asked else 200)
        if asked:
            self.ranges.append(asked[0])
            start = int(asked[1]) if asked[1] else size - int(asked[2])
            end = int(asked[2]) + 1 if asked[1] and asked[2] else size
            data = data[start:end]
            self.send_header("Content-Range", f"bytes {start}-{start + len(data) - 1}/{size}")
        for header, value in (("Content-Type", kind), ("Content-Length", len(data)), ("Accept-Ranges", "bytes")):
            self.send_header(header, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *args):
        pass
