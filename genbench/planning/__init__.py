"""Planning a run without torch: where settings come from, and the `RunSpec` that they make."""
