"""An older daemon, as far as the bus sees it: PORT VERSION LOGIN PASSCODE FOLDER. Hears its topics into FOLDER/heard, says what comes into FOLDER/say."""

import os
import sys
import time

import stomp

PORT, VERSION, LOGIN, PASSCODE, FOLDER = sys.argv[1:]
TOPICS = ["future.git.commits", "future.jenkins.success", "future.jenkins.cake", "future.package.updates"]
# The Ruby daemons of 2014 spoke 1.1; the embedded broker speaks 1.2 only.
CONNECTIONS = {"1.1": stomp.Connection11, "1.2": stomp.Connection12}


class Listener(stomp.ConnectionListener):
    def on_message(self, frame):
        headers = frame.headers
        body = frame.body.replace("\n", "\\n")
        line = "|".join([headers["destination"], headers.get("subject", ""), headers.get("deploykit-bridge", ""), body])
        with open(os.path.join(FOLDER, "heard"), "a") as heard:
            heard.write(line + "\n")

    def on_receipt(self, frame):
        if frame.headers["receipt-id"] == "listens":
            open(os.path.join(FOLDER, "listens"), "w").close()

    def on_disconnected(self):
        os._exit(0)


bus = CONNECTIONS[VERSION]([("127.0.0.1", int(PORT))], vhost="/")
bus.set_listener("", Listener())
bus.connect(LOGIN, PASSCODE, wait=True)
for number, topic in enumerate(TOPICS):
    last = number == len(TOPICS) - 1
    bus.subscribe("/topic/" + topic, id=str(number), headers={"receipt": "listens"} if last else {})
said = os.path.join(FOLDER, "say")
while True:
    for name in sorted(os.listdir(said)):
        path = os.path.join(said, name)
        if name.endswith(".txt"):
            topic, subject, mark, body = open(path).read().split("\n", 3)
            os.remove(path)
            headers = {"subject": subject, "deploykit-bridge": mark}
            bus.send("/topic/" + topic, body, headers={key: value for key, value in headers.items() if value})
    time.sleep(0.02)
