//! `nadmit release`: releases an address.

use std::io::{IsTerminal as _, Write as _};

use anyhow::bail;
use clap::Args;

use super::{OperatorCommand, SourceArgs, backend::Backend};
use crate::{
    allocation::{Address, Allocation, Version},
    cli::output::{self, BOLD},
    inspect::{AddressRow, AllocationRow, Filter, Whois},
    server::operator::ReleaseRequest,
};

/// Arguments of `nadmit release`.
#[derive(Debug, Args)]
#[command(after_help = "\
If the pod of an address exists (among the manifests, or in the cluster), --force is necessary: the \
pod may use the address, and is not notified. An address of a reservation returns to the reservation.

If a policy lets only nadmit write in the cluster, run the command in one of its pods:
  kubectl exec -n nadmit deploy/nadmit -- /nadmit release ADDRESS --yes")]
pub(in crate::cli) struct ReleaseArgs {
    /// IP or MAC address
    address: Address,
    /// Pool, if the address is held in more than one address space
    #[arg(long)]
    pool: Option<String>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Release the address even if its pod exists or cannot be read
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    from: SourceArgs,
}

impl OperatorCommand for ReleaseArgs {
    async fn run(self) -> anyhow::Result<()> {
        let backend = Backend::open(&self.from).await?;
        let found = backend.whois(self.address).await?;
        let row = self.held(&found)?;
        let (one, holder) = (&row.allocation, &row.allocation.holder);
        if let Some(kept) = row.release_blocked.as_ref().filter(|_| !self.force) {
            bail!(
                "{} of {holder} is not released: {kept}; to release it anyway, add --force",
                one.address
            );
        }
        let Some(version) = row.version else {
            bail!("{} is being written; try again", one.address);
        };
        if !self.yes && !confirm(row)? {
            bail!("{} is not released: not confirmed", one.address);
        }
        self.release(row, version, &backend).await?;
        self.offer_the_rest(row, &backend).await
    }
}

impl ReleaseArgs {
    async fn release(
        &self,
        row: &AllocationRow,
        version: u64,
        backend: &Backend,
    ) -> anyhow::Result<()> {
        let (one, holder) = (&row.allocation, &row.allocation.holder);
        let released = backend
            .release(ReleaseRequest {
                address: one.address,
                network_name: one.space.clone(),
                version: Some(Version(version)),
                force: self.force,
            })
            .await?;
        match released.back_to {
            Some(reservation) => output::print_line(format_args!(
                "{} of {holder} is returned to {reservation}",
                one.address
            )),
            None => output::print_line(format_args!(
                "{} of {holder} is released to pool {}",
                one.address, one.pool
            )),
        }
        Ok(())
    }

    /// Offers to release the holder's other addresses on the same interface: the other address of a
    /// dual-stack attachment, or its MAC. Without a terminal, prints the commands.
    async fn offer_the_rest(&self, row: &AllocationRow, backend: &Backend) -> anyhow::Result<()> {
        let one = &row.allocation;
        let filter = Filter {
            pool: Some(one.pool.to_string()),
            namespace: Some(one.holder.namespace().to_string()),
            ..Filter::default()
        };
        let rows = backend.allocations(&filter).await?;
        let others = rows.iter().filter_map(AddressRow::allocation);
        for other in others.filter(|other| is_same_attachment(&other.allocation, one)) {
            let address = other.allocation.address;
            match other.version {
                Some(version) if !self.yes && std::io::stdin().is_terminal() => {
                    if confirm(other)? {
                        self.release(other, version, backend).await?;
                    }
                }
                _ => output::print_line(format_args!(
                    "{} still holds {address} on that network; to release it: nadmit release {address}",
                    one.holder
                )),
            }
        }
        Ok(())
    }

    /// Returns the selected allocation.
    fn held<'f>(&self, found: &'f Whois) -> anyhow::Result<&'f AllocationRow> {
        let of_pool = |row: &&AllocationRow| {
            let pool = self.pool.as_deref();
            pool.is_none_or(|pool| pool == &*row.allocation.pool)
        };
        let meant: Vec<&AllocationRow> = found.held.iter().filter(of_pool).collect();
        match meant[..] {
            [row] => Ok(row),
            [] if !found.whereabouts.is_empty() => bail!(
                "{0} is assigned by Whereabouts, which releases it with its pod; for a record that is left \
                 over, nadmit audit --cluster shows the command",
                self.address
            ),
            [] => bail!("{0} has no holder; see nadmit whois {0}", self.address),
            _ => {
                let pools: Vec<&str> = meant.iter().map(|row| &*row.allocation.pool).collect();
                bail!(
                    "{} is held in {} address spaces; choose one with --pool {}",
                    self.address,
                    meant.len(),
                    pools.join(" or --pool ")
                )
            }
        }
    }
}

/// Returns whether another allocation has the same holder, network, interface and address space.
fn is_same_attachment(other: &Allocation, one: &Allocation) -> bool {
    let key = |of: &Allocation| {
        (
            of.holder.clone(),
            of.network.clone(),
            of.interface.clone(),
            of.space.clone(),
        )
    };
    other.address != one.address && key(other) == key(one)
}

/// Asks for confirmation on a terminal.
fn confirm(row: &AllocationRow) -> anyhow::Result<bool> {
    let one = &row.allocation;
    if !std::io::stdin().is_terminal() {
        bail!(
            "{} of {} is not released: without a terminal, confirm with --yes",
            one.address,
            one.holder
        );
    }
    let network = format!("{}/{}", one.network.namespace, one.network.name);
    let mut terminal = anstream::stderr();
    write!(
        terminal,
        "{BOLD}{}{BOLD:#} is held by {BOLD}{}{BOLD:#} on network {network}. Release it? [y/N] ",
        one.address, one.holder
    )?;
    terminal.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
