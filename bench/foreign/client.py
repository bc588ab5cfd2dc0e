"""What bench's `client` does, by python3-stomp: client.py ROLE ADDRESS LOGIN PASSCODE MESSAGES WINDOW PREFETCH BODY_BYTES.

Prints the processor time of its messages in seconds, over all its threads.
"""

import sys
import threading
import time

try:
    import stomp
except ImportError:
    print("not installed")
    sys.exit()

LIMIT_S = 120
DESTINATION = "/topic/bench.foreign"
SUBSCRIPTION = "bench-foreign"

role, address, login, passcode = sys.argv[1:5]
messages, window, prefetch, body_bytes = map(int, sys.argv[5:])
host, port = address.rsplit(":", 1)
durable = {
    "durable": "true",
    "auto-delete": "false",
    "x-queue-name": SUBSCRIPTION,
    "prefetch-count": str(prefetch),
}
receipts = threading.Semaphore(window)
ready, done = threading.Event(), threading.Event()


class Listener(stomp.ConnectionListener):
    def __init__(self):
        self.left = messages

    def on_receipt(self, frame):
        if frame.headers["receipt-id"] == "ready":
            ready.set()
        else:
            receipts.release()

    def on_message(self, frame):
        connection.ack(frame.headers["ack"])
        self.left -= 1
        if self.left == 0:
            done.set()


connection = stomp.Connection12([(host, int(port))], vhost="/", heartbeats=(0, 0))
connection.set_listener("", Listener())
connection.connect(login, passcode, wait=True)
if role == "consume":
    headers = {**durable, "receipt": "ready"}
    connection.subscribe(DESTINATION, id=SUBSCRIPTION, ack="client-individual", headers=headers)
    ready.wait(LIMIT_S)
    print("ready", flush=True)
    start = time.process_time()
    finished = done.wait(LIMIT_S)
else:
    body = "x" * body_bytes
    start = time.process_time()
    for n in range(messages):
        receipts.acquire(timeout=LIMIT_S)
        connection.send(DESTINATION, body, content_type="text/plain", persistent="true", receipt=str(n))
    finished = all(receipts.acquire(timeout=LIMIT_S) for _ in range(window))
used = time.process_time() - start
connection.disconnect()
print(used if finished else "not finished")
