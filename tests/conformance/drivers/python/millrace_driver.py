"""Drive our own client for Python."""

import json
import sys
import time

import millrace_client as millrace

scenario = json.loads(sys.argv[1])
millrace.host = scenario["host"]
millrace.write_key = scenario["key"]
if scenario.get("gzip"):
    millrace.gzip_from = 0

for step in scenario["steps"]:
    print(json.dumps({"at": time.time()}))
    who = {"user_id": step.get("user_id"), "anonymous_id": step.get("anonymous_id")}
    more = {**who, "occurred_at": step["timestamp"]} if "timestamp" in step else who
    properties = step.get("properties", {})
    if step["call"] == "identify":
        millrace.identify(step["user_id"], step["traits"], anonymous_id=step["anonymous_id"])
    elif step["event"] == "Product Viewed":
        millrace.track_product_view(properties["product_id"], properties, **more)
    elif step["event"] == "Product Added":
        millrace.track_cart_addition(
            properties["product_id"], properties["quantity"], properties, **more
        )
    elif step["event"] == "Order Completed":
        millrace.track_purchase(properties["order_id"], properties["products"], properties, **more)
    else:
        millrace.track(step["event"].lower().replace(" ", "_"), properties, **more)

print(json.dumps({"at": time.time()}))
millrace.shutdown()
