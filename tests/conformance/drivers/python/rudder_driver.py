"""Drive rudder-sdk-python."""

import json
import sys
import time
from datetime import datetime

import rudderstack.analytics as rudder_analytics

scenario = json.loads(sys.argv[1])
rudder_analytics.write_key = scenario["key"]
rudder_analytics.dataPlaneUrl = scenario["host"]
rudder_analytics.gzip = scenario.get("gzip", True)

for step in scenario["steps"]:
    print(json.dumps({"at": time.time()}))
    who = {"user_id": step.get("user_id"), "anonymous_id": step.get("anonymous_id")}
    when = datetime.fromisoformat(step["timestamp"]) if "timestamp" in step else None
    if step["call"] == "identify":
        rudder_analytics.identify(**who, traits=step["traits"], timestamp=when)
    else:
        rudder_analytics.track(
            **who, event=step["event"], properties=step["properties"], timestamp=when
        )

print(json.dumps({"at": time.time()}))
rudder_analytics.shutdown()
