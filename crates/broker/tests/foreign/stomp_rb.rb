# Debian's ruby-stomp against the embedded broker: PORT. Says "good" at the end, or what was wrong.

require "stomp"
require "timeout"

LIMIT_S = 20
PORT = ARGV.fetch(0).to_i

def soon(&block)
  Timeout.timeout(LIMIT_S, &block)
end

def equal(seen, expected)
  raise "#{seen.inspect} is not #{expected.inspect}" unless seen == expected
end

# A connection, and what came over it: receipts and messages come in one stream.
class Guest
  attr_reader :connection

  def initialize(client_id, passcode: "guest", beats: "0,0")
    @connection = soon do
      Stomp::Connection.new(
        hosts: [{ login: "guest", passcode: passcode, host: "127.0.0.1", port: PORT }],
        reliable: false,
        connect_headers: {
          "accept-version" => "1.2", "host" => "/", "client-id" => client_id, "heart-beat" => beats
        }
      )
    end
    @messages = []
  end

  def next
    return @messages.shift unless @messages.empty?

    frame = soon { @connection.receive }
    equal(frame.command, "MESSAGE")
    frame
  end

  def receipt(name)
    loop do
      frame = soon { @connection.receive }
      if frame.command == "MESSAGE"
        @messages << frame
      else
        equal([frame.command, frame.headers["receipt-id"]], ["RECEIPT", name])
        return
      end
    end
  end

  def subscribe(topic, **headers)
    headers = { "ack" => "client-individual", "receipt" => "subscribed", "id" => "s" }.merge(headers)
    @connection.subscribe("/topic/#{topic}", headers)
    receipt("subscribed")
  end

  def publish(topic, text, **headers)
    headers = { "receipt" => text, "persistent" => "true" }.merge(headers)
    @connection.publish("/topic/#{topic}", text, headers)
    receipt(text)
  end

  def ack(frame)
    @connection.ack(frame.headers["ack"], { "receipt" => "acknowledged" })
    receipt("acknowledged")
  end

  def leave
    soon { @connection.disconnect("receipt" => "bye") }
  end
end

def a_wrong_passcode_is_refused
  connection = Guest.new("wrong", passcode: "wrong").connection
  frame = connection.connection_frame
  equal([frame.command, frame.headers["message"]], ["ERROR", "login or passcode is wrong"])
end

def headers_and_bodies_arrive_as_they_were_sent
  guest = Guest.new("rb")
  guest.subscribe("rb.one")
  # It reads a backslash before a c as a colon, so there is none here.
  guest.publish("rb.one", "gruesse", "odd" => "a:b\nd")
  frame = guest.next
  equal([frame.body, frame.headers["odd"]], ["gruesse", "a:b\nd"])
  equal([frame.headers["destination"], frame.headers["redelivered"]], ["/topic/rb.one", nil])
  guest.ack(frame)
  guest.leave
end

def a_wildcard_selects
  guest = Guest.new("rb")
  guest.subscribe("rb.wild.*")
  guest.publish("rb.wild", "not this")
  guest.publish("rb.wild.a.b", "nor this")
  guest.publish("rb.wild.a", "this")
  equal(guest.next.body, "this")
  guest.leave
end

def what_is_durable_waits_and_comes_again_until_acknowledged
  writer = Guest.new("rb-writer")
  agent = Guest.new("rb-agent")
  agent.subscribe("rb.durable", "durable" => "true")
  agent.leave
  %w[1 2 3].each { |text| writer.publish("rb.durable", text) }
  agent = Guest.new("rb-agent")
  agent.subscribe("rb.durable", "durable" => "true")
  frames = Array.new(3) { agent.next }
  equal(frames.map { |frame| [frame.body, frame.headers["redelivered"]] }, [["1", nil], ["2", nil], ["3", nil]])
  agent.ack(frames[1])
  agent.leave
  agent = Guest.new("rb-agent")
  agent.subscribe("rb.durable", "durable" => "true")
  frames = Array.new(2) { agent.next }
  equal(frames.map { |frame| [frame.body, frame.headers["redelivered"]] }, [["1", "true"], ["3", "true"]])
  agent.leave
  writer.leave
end

def heart_beats_go_both_ways
  guest = Guest.new("rb", beats: "300,300")
  connection = guest.connection
  # It counts what it sent and heard. Together that is longer than three beats of silence.
  soon { sleep 0.05 until connection.hbsend_count >= 8 && connection.hbrecv_count >= 8 }
  guest.publish("rb.beats", "still here")
  guest.leave
end

a_wrong_passcode_is_refused
headers_and_bodies_arrive_as_they_were_sent
a_wildcard_selects
what_is_durable_waits_and_comes_again_until_acknowledged
heart_beats_go_both_ways
puts "good"
