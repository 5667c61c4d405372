//! Tables of the checks: for each code a world that has it, and one next to it that has not.

mod claims;
mod conflicting_records;
mod conflicting_requests;
mod conflicts;
mod drift;
mod duplicates;
mod fixes;
mod generated;
mod mac_drift;
mod macs;
mod objects;
mod reading;
mod records;
mod reservations;
mod world;
