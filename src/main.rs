//! The binary: see [`nadmit::cli`].

fn main() {}
