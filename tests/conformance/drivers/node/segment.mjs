// Drive @segment/analytics-node.
import { Analytics } from "@segment/analytics-node";

const scenario = JSON.parse(process.argv[2]);
// A path behind the host's name is not for `host`: the SDK would leave it out.
const { origin, pathname } = new URL(scenario.host);
const analytics = new Analytics({
  writeKey: scenario.key,
  host: origin,
  path: `${pathname.replace(/\/$/, "")}/v1/batch`,
});

for (const step of scenario.steps) {
  console.log(JSON.stringify({ at: Date.now() / 1000 }));
  const who = { userId: step.user_id, anonymousId: step.anonymous_id };
  const timestamp = step.timestamp && new Date(step.timestamp);
  if (step.call === "identify") analytics.identify({ ...who, traits: step.traits });
  else analytics.track({ ...who, event: step.event, properties: step.properties, timestamp });
}
console.log(JSON.stringify({ at: Date.now() / 1000 }));

await analytics.closeAndFlush();
