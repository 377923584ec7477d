"""Drive posthog (Python): the second argument chooses the way it captures, v0 or v1."""

import json
import sys
import time
from datetime import datetime

from posthog import Posthog

scenario = json.loads(sys.argv[1])
more = {"capture_mode": "v1"} if sys.argv[2:] == ["v1"] else {}
if scenario.get("gzip"):
    more |= {"capture_compression": "gzip"} if more else {"gzip": True}
posthog = Posthog(scenario["key"], host=scenario["host"], **more)

for step in scenario["steps"]:
    print(json.dumps({"at": time.time()}))
    user_id, anonymous_id = step.get("user_id"), step.get("anonymous_id")
    # This is how PostHog's server SDKs say that nobody is known yet.
    unknown = {} if user_id else {"$process_person_profile": False}
    when = datetime.fromisoformat(step["timestamp"]) if "timestamp" in step else None
    if step["call"] == "identify":
        posthog.set(distinct_id=user_id, properties=step["traits"])
        posthog.alias(previous_id=anonymous_id, distinct_id=user_id)
    else:
        posthog.capture(
            step["event"],
            distinct_id=user_id or anonymous_id,
            properties={**step["properties"], **unknown},
            timestamp=when,
        )

print(json.dumps({"at": time.time()}))
posthog.shutdown()
