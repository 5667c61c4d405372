//! The server as its clients see it, over loopback sockets.

mod admin;
mod admin_socket;
mod any_bytes;
mod bad_requests;
mod bodies;
mod certificates;
mod connections;
mod deciders;
mod draining;
mod operator;
mod reviews;
mod start;
mod support;
