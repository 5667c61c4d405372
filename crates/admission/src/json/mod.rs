//! A fast JSON parser for reviews: scans for the structure, then parses only the relevant fields.

mod read;
mod scan;

#[cfg(test)]
mod tests;

pub(super) use self::read::read;
