"""Drives the double of Jenkins with python-jenkins, a client that is none of ours. Arguments: URL, user, token or password."""

import sys
import time

import jenkins

url, user, secret = sys.argv[1:]
server = jenkins.Jenkins(url, username=user, password=secret, timeout=10)


def wait(what, ask):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        # waits for the double: the pause keeps the asking from using up the processor
        time.sleep(0.02)
    sys.exit(f"{what}: not within 20 s")


assert server.get_whoami()["id"] == user
assert server.get_version().startswith("2."), server.get_version()
assert server.job_exists("backend/shop") and not server.job_exists("backend/nothing")
assert {job["name"] for job in server.get_jobs()} >= {"backend", "plain"}

# A trigger, its queue item, its build, its end.
item = server.build_job("backend/shop", {"DEPLOYKIT_ID": "1", "NOT_DEFINED": "x"})
number = wait("it starts", lambda: server.get_queue_item(item).get("executable", {}).get("number"))
build = server.get_build_info("backend/shop", number)
assert build["building"] is True and build["result"] is None, build
assert build["queueId"] == item
(taken,) = [action["parameters"] for action in build["actions"] if "parameters" in action]
assert [(one["name"], one["value"]) for one in taken] == [("DEPLOYKIT_ID", "1")], taken
server.stop_build("backend/shop", number)
assert server.get_build_info("backend/shop", number)["result"] == "ABORTED"
assert server.get_job_info("backend/shop")["builds"][0]["number"] == number

# Identical triggers that wait are one item; a person takes it out.
running = server.build_job("backend/shop", {"DEPLOYKIT_ID": "2"})
wait("it starts", lambda: server.get_queue_item(running).get("executable"))
first = server.build_job("backend/shop", {"DEPLOYKIT_ID": "3"})
assert server.build_job("backend/shop", {"DEPLOYKIT_ID": "3"}) == first
assert server.get_queue_item(first)["blocked"] is True
assert [one["id"] for one in server.get_queue_info()] == [first]
server.cancel_queue(first)
assert server.get_queue_item(first)["cancelled"] is True and not server.get_queue_info()

# Without parameters; disabled; unknown.
assert server.build_job("plain") > first
server.disable_job("plain")
for job, parameters in (("plain", None), ("backend/nothing", {"A": "1"})):
    try:
        server.build_job(job, parameters)
    except (jenkins.JenkinsException, OSError) as refused:
        print(f"{job}: {type(refused).__name__}")
    else:
        sys.exit(f"{job} was built")
for missing in (lambda: server.get_queue_item(4000), lambda: server.get_build_info("plain", 77)):
    try:
        missing()
    except jenkins.JenkinsException:
        pass
    else:
        sys.exit("something that is not there was found")

# Who is not known is told so.
try:
    jenkins.Jenkins(url, username=user, password="wrong", timeout=10).get_whoami()
except jenkins.JenkinsException as refused:
    assert "401" in str(refused), refused
else:
    sys.exit("a wrong password was let in")
print("python-jenkins is content")
