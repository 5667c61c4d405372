//! Rules on what an update makes of a pod.
