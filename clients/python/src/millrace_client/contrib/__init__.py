"""What ties the client to web frameworks. Each part loads its framework only when imported."""
