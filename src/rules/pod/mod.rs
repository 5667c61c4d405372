//! Rules on a pod's annotations: when it is created, and when they change.
