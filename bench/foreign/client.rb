# What bench's `client` does, by ruby-stomp: client.rb ROLE ADDRESS LOGIN PASSCODE MESSAGES WINDOW PREFETCH BODY_BYTES.
#
# Prints the processor time of its messages in seconds, over all its threads.

require "timeout"

begin
  require "stomp"
rescue LoadError
  puts "not installed"
  exit
end

LIMIT_S = 120
DESTINATION = "/topic/bench.ruby"
SUBSCRIPTION = "bench-ruby"

role, address, login, passcode = ARGV
messages, window, prefetch, body_bytes = ARGV[4..].map(&:to_i)
host, port = address.split(":")

def used
  Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
end

connection = Stomp::Connection.new(
  hosts: [{ login: login, passcode: passcode, host: host, port: port.to_i }],
  reliable: false,
  connect_headers: { "accept-version" => "1.2", "host" => "/" }
)
start = 0
begin
  Timeout.timeout(LIMIT_S) do
    if role == "consume"
      connection.subscribe(
        DESTINATION,
        "id" => SUBSCRIPTION, "ack" => "client-individual", "durable" => "true", "auto-delete" => "false",
        "x-queue-name" => SUBSCRIPTION, "prefetch-count" => prefetch.to_s, "receipt" => "ready"
      )
      connection.receive
      $stdout.puts "ready"
      $stdout.flush
      start = used
      messages.times { connection.ack(connection.receive.headers["ack"]) }
    else
      body = "x" * body_bytes
      start = used
      messages.times do |n|
        connection.receive if n >= window
        connection.publish(
          DESTINATION, body,
          "content-type" => "text/plain", "persistent" => "true", "receipt" => n.to_s
        )
      end
      [window, messages].min.times { connection.receive }
    end
  end
  puts used - start
rescue Timeout::Error
  puts "not finished"
end
connection.disconnect
