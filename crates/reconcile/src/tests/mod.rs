//! Table tests of the planner: which address is freed when and why, and what is recorded, read, warned
//! about and left alone.

mod adoption;
mod fixture;
mod reads;
mod release;
mod retention;
mod served;
mod served_model;
mod settings;
mod surplus;
mod warnings;
mod whereabouts_repair;
