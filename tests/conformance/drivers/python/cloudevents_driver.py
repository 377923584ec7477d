"""Drive the CloudEvents SDK: it writes the message, requests sends it."""

import json
import sys
import time
from datetime import datetime

import requests
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

scenario = json.loads(sys.argv[1])
write = to_structured_event if sys.argv[2:] == ["structured"] else to_binary_event

for step in scenario["steps"]:
    print(json.dumps({"at": time.time()}))
    name = step.get("event", "identify").lower().replace(" ", "_")
    attributes = {"type": f"com.shop.{name}", "source": "https://shop.example/web"}
    if "timestamp" in step:
        attributes["time"] = datetime.fromisoformat(step["timestamp"])
    who = {"user_id": step.get("user_id"), "anonymous_id": step.get("anonymous_id")}
    message = write(CloudEvent(attributes, {**who, **step.get("properties", {})}))
    for _ in range(2):
        try:
            requests.post(
                scenario["host"] + "/cloudevents",
                data=message.body,
                headers={**message.headers, "X-Write-Key": scenario["key"]},
            )
            break
        except requests.ConnectionError:
            # The same message again: its id tells that it is the same event.
            continue
print(json.dumps({"at": time.time()}))
