"""The queue door and its work. The work is plain functions; `registry` names the tasks."""
