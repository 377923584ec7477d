"""Drive segment-analytics-python: what a shop's backend would write, step by step."""

import json
import sys
import time
from datetime import datetime

import segment.analytics as analytics

scenario = json.loads(sys.argv[1])
analytics.write_key = scenario["key"]
analytics.host = scenario["host"]
analytics.gzip = scenario.get("gzip", False)

for step in scenario["steps"]:
    print(json.dumps({"at": time.time()}))
    who = {"user_id": step.get("user_id"), "anonymous_id": step.get("anonymous_id")}
    when = datetime.fromisoformat(step["timestamp"]) if "timestamp" in step else None
    if step["call"] == "identify":
        analytics.identify(**who, traits=step["traits"], timestamp=when)
    else:
        analytics.track(**who, event=step["event"], properties=step["properties"], timestamp=when)

print(json.dumps({"at": time.time()}))
analytics.shutdown()
