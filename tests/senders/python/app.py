"""A connector app that takes subscriptions: writes each request as a line, and its URL into <file>.url. Argument: the file."""

import http.server
import json
import sys

FILE = sys.argv[1]
COUNT = iter(range(1_000))


class App(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        with open(FILE, "a", encoding="utf-8") as lines:
            print(self.command, self.path, self.headers.get("authorization"), body, file=lines)
        text = json.dumps({"id": next(COUNT)}).encode()
        self.send_response(201)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_DELETE = answer

    def log_message(self, *arguments):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), App)
with open(f"{FILE}.url", "w", encoding="utf-8") as url:
    url.write(f"http://127.0.0.1:{server.server_port}")
server.serve_forever()
