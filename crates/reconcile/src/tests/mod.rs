//! Table tests of the planner: which address is freed when and why, and what is recorded, read, warned
//! about and left alone.

mod adoption;
mod fixture;
mod reads;
mod release;
mod retention;
mod surplus;
mod warnings;
