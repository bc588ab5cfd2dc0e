// Drives the double of Jenkins with npm's `jenkins`, a client that is none of ours. Arguments: URL, user, token or password, kind.

"use strict";

const assert = require("node:assert/strict");
const { setTimeout: pause } = require("node:timers/promises");
const Jenkins = require("jenkins");

const [url, user, secret, kind] = process.argv.slice(2);
const address = new URL(url);
address.username = user;
address.password = secret;
const jenkins = new Jenkins({ baseUrl: address.href.replace(/\/$/, ""), crumbIssuer: kind === "password" });

async function wait(what, ask) {
  const end = Date.now() + 20_000;
  while (Date.now() < end) {
    const answer = await ask();
    if (answer) return answer;
    // waits for the double: the pause keeps the asking from using up the processor
    await pause(20);
  }
  throw new Error(`${what}: not within 20 s`);
}

async function main() {
  assert.equal(await jenkins.job.exists("backend/shop"), true);
  assert.equal(await jenkins.job.exists("backend/nothing"), false);
  const item = await jenkins.job.build({ name: "backend/shop", parameters: { DEPLOYKIT_ID: "a b&c=d", NOT_DEFINED: "x" } });
  const started = await wait("it starts", async () => (await jenkins.queue.item(item)).executable);
  const build = await jenkins.build.get("backend/shop", started.number);
  assert.equal(build.building, true);
  assert.equal(build.result, null);
  assert.equal(build.queueId, item);
  const taken = build.actions.find((action) => action.parameters).parameters;
  assert.deepEqual(taken.map((one) => [one.name, one.value]), [["DEPLOYKIT_ID", "a b&c=d"]]);

  const first = await jenkins.job.build({ name: "backend/shop", parameters: { DEPLOYKIT_ID: "2" } });
  assert.equal(await jenkins.job.build({ name: "backend/shop", parameters: { DEPLOYKIT_ID: "2" } }), first);
  assert.deepEqual((await jenkins.queue.list()).map((one) => one.id), [first]);
  await jenkins.queue.cancel(first);
  assert.equal((await jenkins.queue.item(first)).cancelled, true);

  await jenkins.build.stop("backend/shop", started.number);
  assert.equal((await jenkins.build.get("backend/shop", started.number)).result, "ABORTED");
  assert.ok((await jenkins.job.build("plain")) > first);
  await jenkins.job.disable("plain");
  await assert.rejects(jenkins.job.build("plain"), (error) => error.statusCode === 409);
  await assert.rejects(jenkins.job.build({ name: "backend/nothing", parameters: { A: "1" } }));
  await assert.rejects(jenkins.queue.item(4000), (error) => error.statusCode === 404);
  console.log("npm's jenkins is content");
}

main().catch((error) => {
  console.error(error.stack);
  process.exitCode = 1;
});
