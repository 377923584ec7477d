"""The queue door and the work behind it. The work is plain functions; `registry` names the tasks."""
