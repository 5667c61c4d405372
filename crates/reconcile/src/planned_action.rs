//! Planned actions: their effect, and the sentence that describes them.

use std::fmt;

use nadmit_allocation::{
    Holder, Write,
    reconcile::{Action, ActionReason},
};

use crate::warnings::duplicate_message;

/// An action of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedAction {
    /// The write and its reason.
    pub action: Action,
    /// The effect on holders, which decides whether live reads are required.
    pub effect: Effect,
}

/// The effect of an action on the holders of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing is written: operators are warned.
    Warn,
    /// A record is written that takes nothing from anyone.
    Record,
    /// A holder loses an address, or the protection of one.
    Revoke,
}

impl Effect {
    /// Returns the effect of an action. Re-pointing a virtual machine's record to another launcher
    /// revokes too, because the record is what blocks a second launcher.
    fn of(action: &Action) -> Self {
        let Some(write) = &action.write else {
            return Self::Warn;
        };
        let revokes = match action.reason {
            ActionReason::ReturnedToReservation | ActionReason::Transferred => true,
            ActionReason::PodIdentified => {
                matches!(write.allocation().holder, Holder::VirtualMachine { .. })
            }
            _ => matches!(write, Write::Delete(..)),
        };
        match revokes {
            true => Self::Revoke,
            false => Self::Record,
        }
    }
}

impl From<Action> for PlannedAction {
    fn from(action: Action) -> Self {
        Self {
            effect: Effect::of(&action),
            action,
        }
    }
}

impl fmt::Display for PlannedAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Action { write, reason } = &self.action;
        if let ActionReason::Duplicate { address, users } = reason {
            return f.write_str(&duplicate_message(*address, users));
        }
        let Some(record) = write.as_ref().map(|write| write.allocation()) else {
            return f.write_str(reason.name());
        };
        let (address, pool, holder) = (record.address, &record.pool, &record.holder);
        match reason {
            ActionReason::Adopted => {
                write!(
                    f,
                    "{address} of pool {pool} is in use by {holder}; record the address"
                )
            }
            ActionReason::Reserved => {
                write!(
                    f,
                    "{address} of pool {pool} is reserved by {holder}; record the address"
                )
            }
            ActionReason::Transferred => {
                write!(
                    f,
                    "{address} of pool {pool} is in use by {holder}; record the new holder"
                )
            }
            ActionReason::MacSplit => {
                write!(
                    f,
                    "{address} of pool {pool} is held by {holder}; record the MAC separately"
                )
            }
            ActionReason::ReturnedToReservation => {
                write!(f, "{address} of pool {pool} returns to {holder}")
            }
            ActionReason::PodIdentified => {
                write!(
                    f,
                    "{address} of pool {pool} is held by {holder}; record the pod"
                )
            }
            ActionReason::PoolRenamed => {
                write!(
                    f,
                    "{address} is held by {holder}, and its pool is {pool} now; record the pool"
                )
            }
            ActionReason::Detached => {
                write!(
                    f,
                    "{address} of pool {pool} is not used by {holder} any more; release the address \
                     after the quarantine"
                )
            }
            ActionReason::PodGone
            | ActionReason::ProvisionalExpired
            | ActionReason::WorkloadGone
            | ActionReason::Excess
            | ActionReason::ReservationGone
            | ActionReason::NotConfigured
            | ActionReason::Duplicate { .. } => write!(
                f,
                "{address} of pool {pool} was held by {holder}; release the address ({})",
                reason.name()
            ),
        }
    }
}
