// Drive posthog-node.
import { PostHog } from "posthog-node";

const scenario = JSON.parse(process.argv[2]);
const client = new PostHog(scenario.key, { host: scenario.host });

for (const step of scenario.steps) {
  console.log(JSON.stringify({ at: Date.now() / 1000 }));
  const distinctId = step.user_id ?? step.anonymous_id;
  // This is how PostHog's server SDKs say that nobody is known yet.
  const unknown = step.user_id ? {} : { $process_person_profile: false };
  const timestamp = step.timestamp && new Date(step.timestamp);
  if (step.call === "identify") {
    client.identify({ distinctId, properties: step.traits });
    client.alias({ distinctId, alias: step.anonymous_id });
  } else {
    const properties = { ...step.properties, ...unknown };
    client.capture({ distinctId, event: step.event, properties, timestamp });
  }
}
console.log(JSON.stringify({ at: Date.now() / 1000 }));

await client.shutdown();
