//! JSON in one look: a review is scanned for what is where, then only what decides is read.

mod read;
mod scan;

#[cfg(test)]
mod tests;

pub(super) use self::read::read;
