"""Serves the repositories below a folder over https by `git http-backend`, to ann with the password right.

Arguments: the folder, the certificate with its key. Prints its port.
"""

import base64
import http.server
import os
import ssl
import subprocess
import sys

ROOT, PEM = sys.argv[1:]
LOGIN = "Basic " + base64.b64encode(b"ann:right").decode()


class Git(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Authorization") != LOGIN:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": ROOT,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        ran = subprocess.run(
            ["git", "-c", "safe.directory=*", "http-backend"],
            input=body,
            env=environment,
            stdout=subprocess.PIPE,
        )
        # With its length, because the connection is closed without a goodbye of TLS.
        head, _, body = ran.stdout.partition(b"\r\n\r\n")
        length = b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        status = b"404 Not Found" if b"Status: 404" in head else b"200 OK"
        self.wfile.write(b"HTTP/1.0 " + status + b"\r\n" + head + length + body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Git)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(PEM)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
