//! The server as callers see it, over loopback sockets: what is told here are its promises.

mod admin;
mod any_bytes;
mod bad_requests;
mod certificates;
mod connections;
mod deciders;
mod draining;
mod reviews;
mod start;
mod support;
