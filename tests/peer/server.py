"""The HTTP server of a clone: packets, streams and the capability document."""

import http.server
import socketserver
import threading
import urllib.parse

from calls import PACKET_TYPE
from packets import MAX_PACKET
from refusals import Refused, hint


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # without asking a name server for our own name
        self.server_name, self.server_port = self.server_address[:2]


def serve(clone, listen):
    """Serves on a thread of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def do_POST(self):
            length = self.headers.get("Content-Length", "0")
            if self.path != "/zot":
                return self.give(404, "text/plain", b"packets go to /zot\n", close=True)
            if not length.isdigit() or "Transfer-Encoding" in self.headers:
                return self.give(411, "text/plain", b"a length is needed\n", close=True)
            if self.headers.get("Content-Type") != PACKET_TYPE:
                return self.give(*hint(Refused("malformed", "another content type")), close=True)
            if int(length) > MAX_PACKET:
                return self.give(*hint(Refused("too-large")), close=True)
            data = self.rfile.read(int(length))
            if len(data) == int(length):
                self.give(*clone.receiver.receive(data, self.headers))

        def do_GET(self):
            if self.path == "/.well-known/zot-file":
                return self.give(200, "application/json", clone.document())
            if not self.path.startswith("/zot/file/"):
                return self.give(404, "text/plain", b"nothing is here\n")
            path = urllib.parse.unquote(self.path)
            self.give(*clone.receiver.stream(self.headers.get("Authorization"), path, self.headers))

        def give(self, status, kind, data, more=None, close=False):
            """`data` are bytes, or pieces that come one by one."""
            whole = isinstance(data, bytes)
            more = dict(more or {})
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if whole:
                more["Content-Length"] = str(len(data))
            chunked = "Content-Length" not in more
            if chunked:
                more["Transfer-Encoding"] = "chunked"
            if close:
                more["Connection"] = "close"
                self.close_connection = True
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for piece in [data] if whole else data:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                if chunked:
                    self.wfile.write(b"0\r\n\r\n")
            except (Refused, OSError):  # what was not sent is asked for again
                self.close_connection = True

        def log_message(self, *_):
            pass

    host, port = listen.rsplit(":", 1)
    server = Server((host, int(port)), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
