"""Debian's python3-stomp against the embedded broker: PORT. Says "good" at the end, or what was wrong."""

import queue
import sys

import stomp

LIMIT_S = 20
PORT = int(sys.argv[1])


class Heard(stomp.ConnectionListener):
    def __init__(self):
        self.messages, self.errors, self.receipts, self.beats = (queue.Queue() for _ in range(4))

    def on_message(self, frame):
        self.messages.put(frame)

    def on_error(self, frame):
        self.errors.put(frame.headers.get("message"))

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_heartbeat(self):
        self.beats.put(1)


class Guest:
    def __init__(self, client_id, passcode="guest", beats=(0, 0)):
        self.heard = Heard()
        self.connection = stomp.Connection12(
            [("127.0.0.1", PORT)], heartbeats=beats, vhost="/", reconnect_attempts_max=1
        )
        self.connection.set_listener("heard", self.heard)
        self.connection.connect("guest", passcode, wait=True, headers={"client-id": client_id})

    def receipt(self, name):
        equal(self.heard.receipts.get(timeout=LIMIT_S), name)

    def subscribe(self, topic, **headers):
        headers = {"receipt": "subscribed", **headers}
        self.connection.subscribe("/topic/" + topic, id="s", ack="client-individual", headers=headers)
        self.receipt("subscribed")

    def publish(self, topic, text, **headers):
        headers = {"receipt": text, "persistent": "true", **headers}
        self.connection.send("/topic/" + topic, text, headers=headers)
        self.receipt(text)

    def next(self):
        return self.heard.messages.get(timeout=LIMIT_S)

    def ack(self, frame):
        self.connection.ack(frame.headers["ack"], receipt="acknowledged")
        self.receipt("acknowledged")

    def leave(self):
        self.connection.disconnect(receipt="bye")


def equal(seen, expected):
    if seen != expected:
        raise AssertionError(f"{seen!r} is not {expected!r}")


def a_wrong_passcode_is_refused():
    guest = Guest.__new__(Guest)
    try:
        guest.__init__("wrong", passcode="wrong")
    except stomp.exception.ConnectFailedException:
        equal(guest.heard.errors.get(timeout=LIMIT_S), "login or passcode is wrong")
    else:
        raise AssertionError("let in")


def headers_and_bodies_arrive_as_they_were_sent():
    guest = Guest("py")
    guest.subscribe("py.one")
    guest.publish("py.one", "grüße:\\n", odd="a:b\\c\nd")
    frame = guest.next()
    equal(frame.body, "grüße:\\n")
    equal(frame.headers["odd"], "a:b\\c\nd")
    equal(frame.headers["destination"], "/topic/py.one")
    equal(frame.headers.get("redelivered"), None)
    guest.ack(frame)
    guest.leave()


def a_wildcard_selects():
    guest = Guest("py")
    guest.subscribe("py.wild.*")
    guest.publish("py.wild", "not this")
    guest.publish("py.wild.a.b", "nor this")
    guest.publish("py.wild.a", "this")
    equal(guest.next().body, "this")
    guest.leave()


def what_is_durable_waits_and_comes_again_until_acknowledged():
    writer = Guest("py-writer")
    agent = Guest("py-agent")
    agent.subscribe("py.durable", durable="true")
    agent.leave()
    for text in ["1", "2", "3"]:
        writer.publish("py.durable", text)
    agent = Guest("py-agent")
    agent.subscribe("py.durable", durable="true")
    frames = [agent.next() for _ in range(3)]
    equal([frame.body for frame in frames], ["1", "2", "3"])
    equal([frame.headers.get("redelivered") for frame in frames], [None] * 3)
    agent.ack(frames[1])
    agent.leave()
    agent = Guest("py-agent")
    agent.subscribe("py.durable", durable="true")
    frames = [agent.next() for _ in range(2)]
    equal([frame.body for frame in frames], ["1", "3"])
    equal([frame.headers.get("redelivered") for frame in frames], ["true"] * 2)
    agent.leave()
    writer.leave()


def heart_beats_go_both_ways():
    guest = Guest("py", beats=(300, 300))
    for _ in range(8):
        guest.heard.beats.get(timeout=LIMIT_S)
    # Silent for longer than three beats, but for its own beats.
    guest.publish("py.beats", "still here")
    guest.leave()


a_wrong_passcode_is_refused()
headers_and_bodies_arrive_as_they_were_sent()
a_wildcard_selects()
what_is_durable_waits_and_comes_again_until_acknowledged()
heart_beats_go_both_ways()
print("good")
