//! The figures of two sizes, and how they grow.

use std::fmt;

use super::cluster_size::ClusterSize;

/// A figure of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
}

/// The figures of one size.
#[derive(Debug)]
pub(crate) struct SizeFigures {
    pub(crate) size: ClusterSize,
    pub(crate) figures: Vec<Figure>,
}

/// The figures of two sizes side by side, with the exponent of their growth.
pub(crate) struct Growth {
    pub(crate) small: SizeFigures,
    pub(crate) large: SizeFigures,
}

impl SizeFigures {
    /// Adds a figure.
    pub(crate) fn add(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        let name = name.into();
        println!("  {name}: {} {unit}", Rounded(value));
        self.figures.push(Figure { name, unit, value });
    }

    fn value(&self, name: &str) -> Option<f64> {
        let figure = self.figures.iter().find(|figure| figure.name == name);
        figure.map(|figure| figure.value)
    }
}

/// A number with three digits, or all before the point.
struct Rounded(f64);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            large if large >= 100.0 => write!(f, "{:.0}", self.0),
            medium if medium >= 10.0 => write!(f, "{:.1}", self.0),
            small if small >= 1.0 || small == 0.0 => write!(f, "{:.2}", self.0),
            _ => write!(f, "{:.3}", self.0),
        }
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [small, large] = [self.small.size.pods, self.large.size.pods];
        writeln!(f, "| | | {small} pods | {large} pods | exponent |")?;
        writeln!(f, "|---|---|---:|---:|---:|")?;
        let ratio = (large as f64 / small as f64).ln();
        for figure in &self.large.figures {
            let Some(before) = self.small.value(&figure.name) else {
                continue;
            };
            let (name, unit) = (&figure.name, figure.unit);
            let [before, after] = [before, figure.value];
            write!(
                f,
                "| {name} | {unit} | {} | {} | ",
                Rounded(before),
                Rounded(after)
            )?;
            if before > 0.0 && after > 0.0 {
                writeln!(f, "{:.2} |", (after / before).ln() / ratio)?;
            } else {
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}
