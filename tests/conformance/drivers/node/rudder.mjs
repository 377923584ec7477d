// Drive @rudderstack/rudder-sdk-node.
import Analytics from "@rudderstack/rudder-sdk-node";

const scenario = JSON.parse(process.argv[2]);
const client = new Analytics(scenario.key, {
  dataPlaneUrl: scenario.host,
  gzip: scenario.gzip ?? true,
  // Without it the SDK throws where nobody can catch it, and a wrong key ends the process.
  errorHandler: (error) => console.error(error.message),
});

for (const step of scenario.steps) {
  console.log(JSON.stringify({ at: Date.now() / 1000 }));
  const who = { userId: step.user_id, anonymousId: step.anonymous_id };
  const timestamp = step.timestamp && new Date(step.timestamp);
  if (step.call === "identify") client.identify({ ...who, traits: step.traits });
  else client.track({ ...who, event: step.event, properties: step.properties, timestamp });
}
console.log(JSON.stringify({ at: Date.now() / 1000 }));

await client.flush();
