//! Handlers of `POST /validate`, one file for each target.

mod addresses;
mod binding;
mod config_map;
mod inline_pool;
mod network;
mod operator;
mod pod;
mod pod_update;
mod pool;
mod unrecorded;
mod workload;

pub(crate) use self::{
    binding::decide as binding,
    config_map::findings as config_map,
    network::{delete_findings as network_delete, findings as network},
    operator::findings as additional_networks,
    pod::decide as pod,
    pod_update::decide as pod_update,
    pool::{delete_findings as pool_delete, findings as pool, reservation},
    workload::{virtual_machine, workload},
};
