//! The use of a pool, range by range: an attachment needs an address of each range.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use nadmit_allocation::index::Usage;

/// The count from which numbers are shown as powers of two, because twenty digits are unreadable.
const MANY: u128 = 10_000_000_000;

/// The use of a range of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RangeUse {
    /// The range, in CIDR notation; MACs, if the pool has no range.
    pub range: String,
    /// The number of addresses that it has to give.
    pub capacity: String,
    /// The number of them that are held, except by reservations that no pod has taken.
    #[schemars(range(min = 0))]
    pub allocated: i64,
    /// The number of reserved addresses that no pod has taken.
    #[schemars(range(min = 0))]
    pub reserved: i64,
    /// The number of free addresses.
    pub free: String,
}

/// The texts that kubectl shows in columns: one part a range, joined by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolColumns {
    /// The ranges as they are written in the spec.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ranges: String,
    /// The number of held addresses of each.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub allocated: String,
    /// The number of reserved addresses of each.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reserved: String,
    /// The number of free addresses of each.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub free: String,
    /// The number of addresses that each has to give.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub capacity: String,
}

impl RangeUse {
    /// Returns the use of the range of this name.
    pub fn of(range: String, usage: &Usage) -> Self {
        Self {
            range,
            capacity: usage.capacity.to_string(),
            allocated: saturating_i64(usage.allocated),
            reserved: saturating_i64(usage.reserved),
            free: usage.free.to_string(),
        }
    }
}

impl PoolColumns {
    /// Returns the columns of a pool with these ranges and these uses of them.
    pub fn of(ranges: &[String], usages: &[Usage]) -> Self {
        let each = |part: fn(&Usage) -> u128| {
            let parts: Vec<String> = usages
                .iter()
                .map(|usage| abbreviated(part(usage)))
                .collect();
            parts.join(",")
        };
        Self {
            ranges: ranges.join(","),
            allocated: each(|usage| usage.allocated.into()),
            reserved: each(|usage| usage.reserved.into()),
            free: each(|usage| usage.free),
            capacity: each(|usage| usage.capacity),
        }
    }
}

/// Returns a count in few digits: large ones as powers of two.
pub fn abbreviated(number: u128) -> String {
    if number < MANY {
        return number.to_string();
    }
    // The nearest power: a /64 without its ends is still about 2^64.
    let floor = number.ilog2();
    let nearer = number - (1 << floor) > (1u128 << floor) / 2;
    format!("~2^{}", floor + u32::from(nearer))
}

fn saturating_i64(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_show_each_range_by_itself() {
        let usage = |capacity: u128, allocated: u64| Usage {
            capacity,
            allocated,
            reserved: 1,
            free: capacity - u128::from(allocated) - 1,
        };
        let ranges = ["192.0.2.0/27", "2001:db8::/64"].map(str::to_owned);
        let columns = PoolColumns::of(&ranges, &[usage(30, 4), usage((1 << 64) - 2, 3)]);
        let expected = PoolColumns {
            ranges: "192.0.2.0/27,2001:db8::/64".to_owned(),
            allocated: "4,3".to_owned(),
            reserved: "1,1".to_owned(),
            free: "25,~2^64".to_owned(),
            capacity: "30,~2^64".to_owned(),
        };
        assert_eq!(columns, expected);
    }
}
