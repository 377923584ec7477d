// Drive the CloudEvents SDK for JavaScript, with the HTTP emitter that it brings.
import { CloudEvent, emitterFor, httpTransport } from "cloudevents";

const scenario = JSON.parse(process.argv[2]);
const emit = emitterFor(httpTransport(`${scenario.host}/cloudevents?writeKey=${scenario.key}`));

for (const step of scenario.steps) {
  console.log(JSON.stringify({ at: Date.now() / 1000 }));
  const name = (step.event ?? "identify").toLowerCase().replaceAll(" ", "_");
  const event = new CloudEvent({
    type: `com.shop.${name}`,
    source: "https://shop.example/web",
    ...(step.timestamp && { time: step.timestamp }),
    data: { user_id: step.user_id, anonymous_id: step.anonymous_id, ...step.properties },
  });
  // The same event again when the connection breaks: its id tells that it is the same.
  await emit(event).catch(() => emit(event));
}
console.log(JSON.stringify({ at: Date.now() / 1000 }));
